"""gc: what the stores hold and nobody needs any more goes, and nothing else. docs/storage.md says what is safe, and why.

From the ground up: `names` (hashes in texts), `roots` (what one repository refers to), `census` (all of them), `marking`
(from there to every object that is needed), `recall` (what can come back, and at what price), `eviction` (what of the needed
goes for want of room), `planning` (the plan, a value), `sweeping` (spends it), `background`.
"""
