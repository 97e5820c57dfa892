"""`regen-vcs regenerate`."""

from __future__ import annotations

import click

from regen_vcs.cli.making import run_making
from regen_vcs.cli.models import change_to_current_models, hint_at_current_models
from regen_vcs.cli.terminal import chosen_by, require_matches, say, workspace
from regen_vcs.engine.frames import numbers_in
from regen_vcs.engine.models import differing_models
from regen_vcs.engine.status import survey
from regen_vcs.errors import InvalidError, UsageError

_MISSING = frozenset({"missing"})
_STALE = frozenset({"stale", "pending", "failed"})


@click.command("regenerate")
@click.argument("paths", nargs=-1)
@click.option("--missing", is_flag=True, help="What is accepted but not on disk.")
@click.option("--stale", is_flag=True, help="What is stale, pending or failed.")
@click.option("--all", "everything", is_flag=True, help="Everything that has a generator, even if nothing changed.")
@click.option("--with-dependents", is_flag=True, help="And what is made from these.")
@click.option("--jobs", "-j", type=click.IntRange(1, 256), help="How many at once.")
@click.option("--queue", "to_queue", is_flag=True, help="Leave it to a worker; results other than the accepted ones are proposed.")
@click.option("--frames", metavar="37-40", help="Only these frames, again: of sequences that are made frame by frame.")
@click.option("--current-models", is_flag=True, help="First change recipes to the models that regen.toml configures now; asks.")
@click.option("--yes", "-y", is_flag=True, help="With --current-models: do not ask.")
def regenerate_command(paths, missing, stale, everything, with_dependents, jobs, to_queue, frames, current_models, yes) -> int:
    """Run generators: for PATHS, or for what is missing, stale, pending or failed.

    An asset named on the command line is made again even if nothing changed; another result than the accepted
    one is shown as `drifted`, never accepted silently. One failure does not stop the rest. Models are the recipe's,
    unless --current-models is said.

    \b
    Example: regen-vcs regenerate --missing --jobs 2
    """
    chosen_frames = _chosen_frames(frames, paths, to_queue)
    with workspace() as ws:
        found = survey(ws)
        wanted = chosen_by(ws, paths)
        changed = set()
        if current_models:
            changed = change_to_current_models(ws, differing_models(found.snapshot, wanted), yes=yes)
            found = survey(ws)
        states = (_MISSING if missing else frozenset()) | (_STALE if stale else frozenset())
        if not states and not paths:
            states = _MISSING | _STALE
        chosen = [each for each in found.statuses if each.generator and wanted(each.path) and each.state != "invalid"]
        require_matches(paths, chosen)
        if states and not everything:
            chosen = [each for each in chosen if each.state in states or each.path in changed]
        names = [each.path for each in chosen]
        if with_dependents:
            names = with_dependants(found.snapshot, names)
        if not names:
            say("nothing to do")
            return 0
        if not current_models:
            hint_at_current_models(differing_models(found.snapshot, set(names).__contains__))
        forced = everything or (bool(paths) and not states)
        if to_queue:
            return _leave_to_worker(ws, names, forced)
        return run_making(ws, names, force=forced and not chosen_frames, workers=jobs, frames=chosen_frames)


def _chosen_frames(text: str | None, paths: tuple[str, ...], to_queue: bool) -> tuple[int, ...]:
    if text is None:
        return ()
    if not paths or to_queue:
        raise UsageError("--frames: is for sequences named here, made now", "regen-vcs regenerate shots/sky.####.png --frames 37-40")
    try:
        return tuple(numbers_in(text))
    except InvalidError as error:
        raise UsageError(f"--frames: {error.what}") from None


def _leave_to_worker(ws, names: list[str], forced: bool) -> int:
    from regen_vcs.engine.background import start_worker
    from regen_vcs.engine.making import enqueue

    count = enqueue(ws, names, by_user=True, force=forced)
    started = ws.settings.get("checkout.background") and start_worker(ws)
    say(f"{count} queued" + ("; a worker makes them" if started else "") + "; follow it: regen-vcs queue --follow")
    return 0


def with_dependants(snapshot, names: list[str]) -> list[str]:
    """These and everything that is made from them, directly or not."""
    from regen_vcs.engine.graph import dependants_of

    return list(dict.fromkeys([*names, *dependants_of(snapshot, names)]))
