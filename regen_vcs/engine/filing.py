"""Filing what somebody has made: its files go into keep, and become the output that a sidecar or a record names."""

from __future__ import annotations

from regen_vcs import media
from regen_vcs.engine.observe import frame_number, member_name
from regen_vcs.engine.workspace import Workspace
from regen_vcs.model.manifest import Member, manifest_bytes
from regen_vcs.model.paths import frames_text, parse_sequence
from regen_vcs.model.recipe import Output
from regen_vcs.stores.witness import MADE, Witness


def file_output(ws: Workspace, asset: str, found: list[tuple[str, str, int]], key: str | None) -> Output:
    """Bring an asset's files into keep (nothing proves yet that they can be made again); its output.

    found: (name inside the asset, absolute path, size) of each, as `collect_output` gives them; "" names a single file.
    gc leaves them alone until the workspace is closed.
    """
    sequence = parse_sequence(asset)
    members = []
    with ws.stores.relying():
        for name, path, size in found:
            inner = member_name(asset, name) if sequence else name
            members.append(Member(inner, ws.stores.ingest_file(path)[0], size))
        is_tree = bool(sequence) or not (len(members) == 1 and members[0].name == "")
        whole = ws.stores.ingest_bytes(manifest_bytes(members))[0] if is_tree else members[0].hash
        objects = [whole, *(member.hash for member in members if member.hash != whole)]
        ws.lease.add(objects)
        Witness(ws.stores.keep.root).saw(MADE, objects)
    first = found[0][1]
    return Output(
        hash=whole,
        key=key,
        size=sum(size for _, _, size in found),
        content=media.content_hash(first) if not is_tree else None,
        look=media.look(first),
        media=media.probe(first),
        files=len(members) if is_tree and not sequence else None,
        frames=frames_text(frame_number(sequence, name) for name, _, _ in found) if sequence else None,
    )
