"""What a remote is to the rest of the house: objects by hash, immutable records and recipes by key, nothing else.

The layout is one everywhere, under the URL's prefix:

    regen-remote.json                              the mark: this is a remote, of that format
    v1/objects/9f/2c…                              bytes named by their BLAKE3 (perhaps compressed: the name stays that of the bytes)
    v1/recipes/<kk>/<key>.json                     a recipe's text by its key
    v1/results/<kk>/<key>/<output>/<record>.json   one immutable observation, named by its own hash

Names are hashes of what they name, so nothing depends on conditional puts, and a transfer that is repeated is harmless.
Whatever comes from a remote is an *offer*: bytes are hashed on arrival, names are recomputed, nothing is proof.
Hot path: hooks import this module and `opening.py`, and the rest of the room only where a remote is asked.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterable, Iterator
from io import IOBase

from regen_vcs.errors import RemoteError


class Unreachable(RemoteError):
    """It does not answer, or stalls: no more tries of it in this command."""


class Refused(RemoteError):
    """It answers, and says no: wrong credentials, no permission, a full or missing bucket, read-only."""


Remote = namedtuple("Remote", ("name", "url", "durable", "read_only"), defaults=(False, False))
Remote.__doc__ = """An active remote as git config has it. `url` is as the user gave it, without credentials: these are refused in URLs."""

Held = namedtuple("Held", ("hash", "size"))
Held.__doc__ = """An object that a remote lists: its hash and the bytes it takes there (compressed: fewer than its own)."""


class RemoteStore:
    """One remote, open. Safe to call from many threads. Every method may raise Unreachable or Refused.

    patience: seconds of silence after which a call gives up (2 for a checkout, 30 for the user's verbs).
    """

    remote: Remote

    def has(self, hash: str) -> bool:
        """Whether an object of that name is there (one cheap request; its bytes are not looked at)."""

    def open_object(self, hash: str, size: int | None = None) -> Iterator[bytes] | None:
        """The object's own bytes (decompressed) in chunks, None where there is none. size: theirs, where it is known.

        Verified on arrival: CorruptionError where they are not what the name says. Small objects (1 MiB) are verified,
        and fetched once more if wrong, before the first chunk; of larger ones the caller learns after the last chunk,
        throws away what it has and asks once more. A stream that breaks goes on where it was, or starts anew, before
        the caller notices; then Unreachable. More than `size` bytes are never given out.
        """

    def put_object(self, hash: str, source: IOBase, size: int) -> int:
        """Upload; the bytes sent. The name is visible only when the whole is there. Refused where it is read-only.

        source: seekable; read from its start, and anew for another try. An object that is there already is replaced.
        """

    def list_objects(self) -> Iterator[Held]:
        """All objects, in any order."""

    def remove_objects(self, hashes: Iterable[str]) -> None:
        """Only `remote prune` calls this."""

    def put_record(self, key: str, output_hash: str, record: bytes) -> None:
        """One observation, canonical bytes; named by its hash."""

    def records(self, key: str) -> Iterator[tuple[str, bytes]]:
        """(output hash, canonical bytes) of the offers for a key whose names are right; the others are passed over."""

    def put_recipe(self, key: str, data: bytes) -> None:
        """A recipe's text."""

    def recipe(self, key: str) -> bytes | None:
        """A recipe's text, as offered."""

    def establish(self) -> None:
        """Make the place a remote where it is none: a file remote's folder, and the mark `regen-remote.json`.

        `remote add` calls this. A folder without a mark counts as not mounted ever after: Unreachable, never made anew.
        On servers the first push sets the mark by itself.
        """

    def close(self) -> None:
        """Let go of connections and descriptors. A later call opens what it needs again."""

    def probe(self) -> str | None:
        """One round trip that shows whether the remote can be used (and written, unless read-only); None, or what is odd.

        Raises Unreachable or Refused with a hint that names the setting to mend.
        """
