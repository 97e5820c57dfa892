"""`regen-vcs fetch`."""

from __future__ import annotations

import click

from regen_vcs.cli.terminal import Wanted, asset_paths, fail_with, note, print_json, say, workspace
from regen_vcs.cli.transfer_progress import TransferProgress
from regen_vcs.engine.fetching import FetchReport, fetch_everything


@click.command("fetch")
@click.argument("paths", nargs=-1)
@click.option("--force", "-f", is_flag=True, help="Also over edited files; they are rescued first.")
@click.option("--all-refs", is_flag=True, help="Also what every local branch and tag accepts, into the local stores.")
@click.option("--from", "remote", metavar="REMOTE", help="From this remote only.")
@click.option("--offers", is_flag=True, help="Also show takes that remotes offer for stale recipes.")
@click.option("--json", "as_json", is_flag=True, help="What came, as JSON.")
def fetch_command(paths: tuple[str, ...], force: bool, all_refs: bool, remote: str | None, offers: bool, as_json: bool) -> int:
    """Bring the accepted takes back: what is missing, drifted or only proposed. From the local stores, else from the remotes.

    Without PATHS: of the working set; what is named comes even from outside of it. Runs no generator. A transfer that was ended goes on where it was. For a recipe that was never made, a take that a
    remote offers is shown as a proposal, if its maker is trusted (remote.trustResults).

    \b
    Example: regen-vcs fetch shots/010/sky.png
    """
    with workspace() as ws, TransferProgress("fetching") as progress:
        wanted = Wanted(ws, paths)
        named = asset_paths(ws, paths)
        report = fetch_everything(
            ws, wanted, force=force, remote=remote, all_refs=all_refs, offers=offers, named=bool(paths), on_change=progress
        )
        # What a folder or the whole worktree holds besides is `status`' to tell.
        report = report._replace(results=[each for each in report.results if each.verdict != "invalid" or each.path in named])
        wanted.require_some()
    if as_json:
        print_json(_document(report))
    else:
        _print(report, all_refs)
    errors = {each.path: each.error for each in report.results if each.error} | report.failed
    return fail_with(errors | {f"remote {number}": error for number, error in enumerate(report.unreachable)})


def _print(report: FetchReport, all_refs: bool) -> None:
    for each in report.results:
        if each.verdict == "fetched":
            say(f"fetched  {each.path}")
        elif each.verdict == "proposed":
            say(f"proposed {each.path}  (a remote offers it; regen-vcs accept {each.path})")
        elif each.verdict == "edited":
            note(f"edited   {each.path}  (left alone; --force brings the accepted take and rescues yours)")
    if all_refs:
        say(f"{report.stored} assets of branches and tags came into the local stores")
    elif not report.results:
        say("nothing to fetch")


def _document(report: FetchReport) -> dict:
    return {
        "assets": [
            {"path": each.path, "verdict": each.verdict, "error": each.error.what if each.error else None}
            for each in report.results
        ],
        "stored": report.stored,
        "failed": {path: error.what for path, error in report.failed.items()},
        "unreachable": [error.what for error in report.unreachable],
    }
