"""The error tree. Every error a user can cause is one of these, and nothing else reaches them.

    RegenError            kind "failed"       exit 1   some assets failed
    ├── RegenerationError kind "failed"       exit 1   an asset's generator failed, or could not be run
    ├── UsageError        kind "usage"        exit 2   the call's words are off
    ├── InvalidError      kind "invalid"      exit 3   a sidecar, manifest or configuration is not valid
    │   └── NewerFormat   kind "newer"        exit 3   written by a newer regen-vcs: left alone
    ├── NotTrusted        kind "not-trusted"  exit 4   the user has not said that this may run
    ├── RemoteError       kind "remote"       exit 5   a remote cannot be reached
    ├── CorruptionError   kind "corruption"   exit 6   bytes are not what their name says
    └── Interrupted       kind "interrupted"  exit 130
        └── Withdrawn     kind "interrupted"  exit 130 whoever asked does not want it any more

Each carries `what` (one line: what went wrong, naming the file) and `hint` (the command or edit that
mends it, or None). `cli.main` prints `error: <what>` and `  hint: <hint>`, or with `--json` the same as
`{"error": {"kind", "what", "hint"}}`.
"""

from __future__ import annotations


class RegenError(Exception):
    """Base of all errors a user can cause: `what` happened, and the `hint` that mends it."""

    kind = "failed"
    exit_code = 1

    def __init__(self, what: str, hint: str | None = None):
        super().__init__(what)
        self.what = what
        self.hint = hint

    def to_json(self) -> dict[str, object]:
        return {"error": {"kind": self.kind, "what": self.what, "hint": self.hint}}


class RegenerationError(RegenError):
    """An asset could not be made. path: the asset; log: hash of what its generator printed, or None (`show --log`).

    transient: another time it may go well (a server that is away).
    """

    def __init__(self, what: str, hint: str | None = None, *, path: str = "", log: str | None = None, transient: bool = False):
        super().__init__(what, hint)
        self.path, self.log, self.transient = path, log, transient


class UsageError(RegenError):
    kind = "usage"
    exit_code = 2


class InvalidError(RegenError):
    """A sidecar, manifest or configuration that is not valid; `field` names the JSON path, where known."""

    kind = "invalid"
    exit_code = 3

    def __init__(self, what: str, hint: str | None = None, *, field: str | None = None):
        super().__init__(what, hint)
        self.field = field


class NewerFormat(InvalidError):
    kind = "newer"


class NotTrusted(RegenError):
    kind = "not-trusted"
    exit_code = 4


class RemoteError(RegenError):
    kind = "remote"
    exit_code = 5


class CorruptionError(RegenError):
    kind = "corruption"
    exit_code = 6


class Interrupted(RegenError):
    kind = "interrupted"
    exit_code = 130


class Withdrawn(Interrupted):
    """Whoever asked for something does not want it any more: what is not finished is not left to others either."""


# Of several errors in one command, the first of these decides the exit code (docs/spec/cli.md).
SEVERITY = (130, 6, 3, 4, 5, 1)


def worst_exit_code(codes: list[int]) -> int:
    """The exit code of a command in which several things went wrong; 0 for none."""
    return next((code for code in SEVERITY if code in codes), max(codes, default=0))
