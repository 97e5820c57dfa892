"""`regen-vcs export`."""

from __future__ import annotations

import os
import sys

import click

from regen_vcs.cli.terminal import Wanted, fail_with, note, print_json, say, workspace
from regen_vcs.engine.export import Exported, collect_export
from regen_vcs.engine.export_file import SUFFIX, ExportFile, export_bytes, write_export
from regen_vcs.engine.finding import count
from regen_vcs.errors import InvalidError
from regen_vcs.model.quantities import human_size, parse_size


@click.command("export")
@click.argument("file", required=False)
@click.argument("paths", nargs=-1)
@click.option("--with-inputs", is_flag=True, help="With PATHS: also the recipes of what these are made from.")
@click.option("--max-bytes", metavar="SIZE", help="Write nothing if the file would be larger.")
@click.option("--all-refs", is_flag=True, help="Also the recipes of every branch and tag.")
@click.option("--earlier", metavar="EXPORT", help="Also what this export has of recipes that are gone here.")
@click.option("--force", "-f", is_flag=True, help="Replace FILE even if it is no export.")
@click.option("--json", "as_json", is_flag=True, help="What is in it, as JSON.")
def export_command(file: str | None, paths: tuple[str, ...], with_inputs: bool, max_bytes: str | None, all_refs: bool, earlier: str | None,
                   force: bool, as_json: bool) -> int:
    """Write all recipes of this repository into one small file, from which `restore` brings them back.

    With the recipes come regen.toml, and what is text among their inputs and code. Media do not. The same repository
    gives the same file, byte by byte. FILE is by default the repository's name, in the current folder; - is stdout.

    \b
    Example: regen-vcs export ~/backup/film.regen-export
    """
    with workspace() as ws:
        wanted = Wanted(ws, paths)
        target = file or os.path.basename(ws.root.rstrip("/")) + SUFFIX
        found = collect_export(ws, wanted, all_refs=all_refs, with_inputs=with_inputs, earlier=ExportFile.open(earlier) if earlier else None)
        wanted.require_some()
    data = export_bytes(found.manifest, found.objects)
    if max_bytes is not None and len(data) > (limit := parse_size(max_bytes)):
        raise InvalidError(f"the export has {human_size(len(data))}: more than {human_size(limit)}, so nothing is written", "name fewer assets")
    if target == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        write_export(target, data, force=force)
    if as_json and target != "-":
        print_json(_document(found, target, len(data)))
        return fail_with(found.invalid)
    tell = note if target == "-" else say
    for path, why in sorted(found.left_out.items()):
        note(f"left out  {path}: {why}")
    tell(_summary(found, target, len(data)))
    return fail_with(found.invalid)


def _summary(found: Exported, target: str, size: int) -> str:
    manifest = found.manifest
    parts = [count(len(manifest.sidecars) + len(manifest.documents), "recipe")]
    if manifest.files:
        parts.append(count(len(manifest.files), "file") + " they need")
    if manifest.refs:
        parts.append(f"{count(len(manifest.versions), 'version')} of {count(len(manifest.refs), 'branch or tag').replace('branch or tags', 'branches and tags')}")
    where = "" if target == "-" else f"{target}: "
    return f"{where}{', '.join(parts)}; {human_size(size)}"


def _document(found: Exported, target: str, size: int) -> dict:
    manifest = found.manifest
    return {
        "file": os.path.abspath(target),
        "size": size,
        "recipes": [path for path, _ in [*manifest.sidecars, *manifest.documents]],
        "files": [path for path, _ in manifest.files],
        "refs": {ref: len(numbers) for ref, numbers in manifest.refs.items()},
        "left_out": [{"path": path, "reason": why} for path, why in sorted(found.left_out.items())],
        "invalid": [{"path": path, "reason": error.what} for path, error in sorted(found.invalid.items())],
    }
