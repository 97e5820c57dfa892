"""Takes as remotes offer them: records that say which bytes somebody got for a key.

An offer is a claim. Its name, its key and the hash of its bytes are recomputed; it never fills a sidecar's output, is never
filed among the results of this machine, and proves nothing. All it can do is to show its bytes as a stand-in (`proposed`)
for a recipe that is pending or stale, and that only if its maker is trusted: `remote.trustResults`.

mine: recorded with this user's own key, a file in the configuration folder that never leaves it by itself. Whoever works on
several machines copies it there.
"""

from __future__ import annotations

import os
import secrets
from collections import namedtuple
from collections.abc import Iterable, Mapping

from blake3 import blake3

from regen_vcs.engine.config import config_dir
from regen_vcs.engine.connections import Connections
from regen_vcs.engine.takes import output_of_record
from regen_vcs.engine.threading_over import over
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError, RegenError, RemoteError
from regen_vcs.model.canonical import canonical_bytes, parse_json
from regen_vcs.model.recipe import Output
from regen_vcs.platform import files
from regen_vcs.remote.base import RemoteStore

_KEY_FILE = "takes.key"
_KEY_BYTES = 32
_ADDED = ("key", "output_hash", "record")  # by Results, to what the file says
_PRIVATE = ("log", "asset", "repo")  # what a run printed stays here, and where its asset lay

# record: as its file says. output: what it describes, without what only the bytes themselves can tell.
Offer = namedtuple("Offer", ("remote", "key", "output", "record"))


class Note(namedtuple("_Note", ("mark", "key", "output_hash", "data"))):
    """Something to tell a remote about a take: a record (its mark begins with `r`) or a recipe (`k`)."""

    __slots__ = ()

    def put(self, store: RemoteStore) -> None:
        if self.mark.startswith("r"):
            store.put_record(self.key, self.output_hash, self.data)
        else:
            store.put_recipe(self.key, self.data)


def records_to_offer(ws: Workspace, key: str, output_hash: str) -> list[Note]:
    """What a remote is told of a take: how it was made here, and its recipe."""
    notes = []
    for take in ws.results.takes(key):
        if take["output_hash"] == output_hash:
            data = canonical_bytes(signed(ws, {name: value for name, value in take.items() if name not in _ADDED + _PRIVATE}))
            notes.append(Note(f"r{blake3(data).hexdigest()}", key, output_hash, data))
    recipe = ws.results.recipe(key)
    if recipe is not None:
        notes.append(Note(f"k{key}", key, output_hash, recipe))
    return notes


def signed(ws: Workspace, record: dict) -> dict:
    """A record that this user's machines will know for their own. One that says by whom it is stays as it is."""
    if "by" in record:
        return record
    return {**record, "by": {"mac": _mac(_user_key(ws, make=True), record)}}


def is_mine(ws: Workspace, record: Mapping) -> bool:
    """Whether a record was made with this user's key."""
    by = record.get("by")
    mac = by.get("mac") if isinstance(by, dict) else None
    key = _user_key(ws, make=False)
    if key is None or not isinstance(mac, str):
        return False
    return secrets.compare_digest(_mac(key, {name: value for name, value in record.items() if name != "by"}).encode(), mac.encode())


def offers_for(ws: Workspace, connections: Connections, keys: Iterable[str]) -> dict[str, list[Offer]]:
    """{key: offers that may stand in, the first observed first} from all remotes. InvalidError for `signed`."""
    trusts = ws.settings.get("remote.trustResults")
    if trusts == "signed":
        raise InvalidError(
            "remote.trustResults = signed: signatures of takes are not supported yet", "set it to mine, or to all"
        )
    found: dict[str, list[Offer]] = {}
    for remote in connections.remotes:
        store = connections.open(remote)
        for key, records, error in over(lambda key, store=store: list(store.records(key)), dict.fromkeys(keys)):
            if error is not None:
                connections.give_up(remote, error if isinstance(error, RegenError) else RemoteError(str(error)))
                break
            for output_hash, data in records:
                offer = _offer(remote.name, key, output_hash, data)
                if offer is not None and (trusts == "all" or is_mine(ws, offer.record)):
                    found.setdefault(key, []).append(offer)
    for offers in found.values():
        offers.sort(key=lambda offer: (str(offer.record.get("at", "")), offer.output.hash))  # never "newest wins"
    return found


def _offer(remote: str, key: str, output_hash: str, data: bytes) -> Offer | None:
    try:
        record = parse_json(data)
    except InvalidError:
        return None
    output = output_of_record(record, key) if isinstance(record, dict) else None
    if output is None or output.hash != output_hash:
        return None
    bare = Output(hash=output.hash, key=key, size=output.size, files=output.files, frames=output.frames)
    return Offer(remote, key, bare, record)


def _mac(key: bytes, record: Mapping) -> str:
    return blake3(canonical_bytes(dict(record)), key=key).hexdigest()


def _user_key(ws: Workspace, *, make: bool) -> bytes | None:
    """The user's key of takes; None where there is none and none is made. InvalidError for a file that is none."""
    path = os.path.join(config_dir(ws.environ), _KEY_FILE)
    key = _read_key(path)
    if key is None and make:
        temp = f"{path}.{files.temp_tag()}"
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            files.write_atomic(temp, f"{secrets.token_hex(_KEY_BYTES)}\n".encode(), mode=0o600)
            os.link(temp, path)  # whole, and never over one that another process made this moment
        except FileExistsError:
            pass
        except OSError as error:
            raise files.write_error(error, f"writing {path}") from error
        finally:
            files.remove_file(temp)
        key = _read_key(path)
    return key


def _read_key(path: str) -> bytes | None:
    data = files.read_regular(path, 2 * _KEY_BYTES + 2)
    if data is None:
        return None
    try:
        key = bytes.fromhex(data.decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise InvalidError(f"{path}: is not a key of takes", "remove it: a new one is made")
    return key
