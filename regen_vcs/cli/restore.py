"""`regen-vcs restore`."""

from __future__ import annotations

import click

from regen_vcs.cli.terminal import Wanted, note, print_json, say, workspace
from regen_vcs.engine import restoring
from regen_vcs.engine.export_file import SUFFIX, ExportFile, is_export
from regen_vcs.engine.finding import count
from regen_vcs.engine.lost_sidecars import find_lost
from regen_vcs.engine.vault_file import is_blend, read_vault
from regen_vcs.engine.workspace import PROJECT_FILE
from regen_vcs.errors import InvalidError, RegenError, UsageError

_DONE = (restoring.RESTORED, restoring.REPLACED)


@click.command("restore")
@click.argument("arguments", nargs=-1, metavar="[FILE] [PATH]...")
@click.option("--ref", metavar="NAME", help="The recipes as this branch or tag had them (of an export --all-refs).")
@click.option("--from-keep", is_flag=True, help="Without FILE: also what only the store remembers of this repository.")
@click.option("--all-repositories", is_flag=True, help="With --from-keep: of whatever repository.")
@click.option("--force", "-f", is_flag=True, help="Also over files that differ; these are rescued first.")
@click.option("--dry-run", "-n", is_flag=True, help="Show what would be restored.")
@click.option("--json", "as_json", is_flag=True, help="What became of each file, as JSON.")
def restore_command(arguments: tuple[str, ...], ref: str | None, from_keep: bool, all_repositories: bool, force: bool,
                    dry_run: bool, as_json: bool) -> int:
    """Bring recipes back: from an export FILE, from a .blend that the addon saved, or without one from what git and the store know
    of those that are gone.

    Nothing that differs is overwritten, nothing is run, and regen.toml is not trusted by being restored. PATHs limit it
    to these assets. `regen-vcs sync` brings their media afterwards.

    \b
    Example: regen-vcs restore ~/backup/film.regen-export
    """
    file, paths = _parted(arguments)
    if file is None and ref:
        raise UsageError("--ref is of an export's branches", "regen-vcs restore FILE --ref NAME")
    if all_repositories and not from_keep:
        raise UsageError("--all-repositories goes with --from-keep", "regen-vcs restore --from-keep --all-repositories")
    with workspace() as ws:
        wanted = Wanted(ws, paths)
        if file is not None:
            candidates, unplaced = restoring.candidates_of(_opened(file), wanted, ref=ref), []
        else:
            lost = find_lost(ws, wanted, named=bool(paths), from_keep=from_keep, everywhere=all_repositories)
            candidates, unplaced = lost.candidates, lost.unplaced
        wanted.require_some()
        results = restoring.restore(ws, candidates, force=force, dry_run=dry_run)
    if as_json:
        print_json({"files": [each._asdict() for each in results], "unplaced": [each._asdict() for each in unplaced], "dry_run": dry_run})
    else:
        _print(results, unplaced, dry_run, file is not None)
    return _exit_code(results, dry_run)


def _parted(arguments: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    """(the export, the paths): the first argument is a file if it is an export, or is called like one."""
    if arguments and (is_export(arguments[0]) or arguments[0].endswith(SUFFIX) or is_blend(arguments[0])):
        return arguments[0], arguments[1:]
    return None, arguments


def _opened(file: str) -> ExportFile:
    """An export, or that in the vault of a .blend."""
    if is_export(file) or not is_blend(file):
        return ExportFile.open(file)
    vault = read_vault(file)
    for what in vault.damaged:
        note(f"note: {what}; the other copy was used")
    return vault.export


def _print(results: list, unplaced: list, dry_run: bool, from_file: bool) -> None:
    for each in results:
        if each.verdict in _DONE:
            notes = "; ".join(filter(None, (each.origin and f"from {each.origin}", each.note)))
            say(f"{each.verdict:<9} {each.path}{f'  ({notes})' if notes else ''}")
        elif each.verdict == restoring.DIFFERS:
            note(f"differs   {each.path}  (left as it is; --force replaces it and rescues yours)")
        elif each.verdict == restoring.REFUSED:
            note(f"refused   {each.path}: {each.reason}")
    for each in unplaced:
        note(f"unplaced  {each.key[:12]}…: {each.reason}")
    done = [each for each in results if each.verdict in _DONE]
    same = sum(each.verdict == restoring.SAME for each in results)
    would = "would be " if dry_run else ""
    if done:
        say(f"{count(len(done), 'file')} {would}restored{f', {same} were there already' if same else ''}")
    elif same:
        say("nothing to restore: all of it is here already")
    elif not results and not unplaced:
        say("nothing to restore: no recipe is missing" if not from_file else "nothing to restore")
    if done and not dry_run:
        if any(each.path == PROJECT_FILE for each in done):
            note("note: restored is not trusted: look at regen.toml, then: regen-vcs trust")
        note("note: regen-vcs sync brings the media, git add the recipes")


def _exit_code(results: list, dry_run: bool) -> int:
    verdicts = {each.verdict for each in results}
    if restoring.REFUSED in verdicts:
        return InvalidError.exit_code
    return RegenError.exit_code if restoring.DIFFERS in verdicts and not dry_run else 0
