"""`regen-vcs regenerate`."""

from __future__ import annotations

import click

from regen_vcs.api.project import Project
from regen_vcs.api.results import Selection, selection_of
from regen_vcs.cli.making import run_making
from regen_vcs.cli.models import change_to_current_models, hint_at_current_models
from regen_vcs.cli.project import project
from regen_vcs.cli.terminal import chosen_by, require_matches, say
from regen_vcs.engine.background import start_worker
from regen_vcs.engine.choosing import choose_to_make, with_recipes
from regen_vcs.engine.frames import numbers_in
from regen_vcs.engine.graph import dependants_of
from regen_vcs.engine.models import differing_models
from regen_vcs.engine.status import survey
from regen_vcs.errors import InvalidError, UsageError


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
    with project() as film:
        ws = film.workspace
        found = survey(ws)
        wanted = chosen_by(ws, paths)
        changed = set()
        if current_models:
            changed = change_to_current_models(ws, differing_models(found.snapshot, wanted), yes=yes)
            found = survey(ws)
        possible = with_recipes(found.statuses, wanted)
        require_matches(paths, possible)
        chosen = choose_to_make(
            possible, missing=missing, stale=stale, everything=everything, named=bool(paths), also=changed
        )
        names = [each.path for each in chosen]
        more = dependants_of(found.snapshot, names) if with_dependents else []
        if not names:
            say("nothing to do")
            return 0
        selection = selection_of(names, more, forced=everything or (bool(paths) and not (missing or stale)))
        if not current_models:
            hint_at_current_models(differing_models(found.snapshot, set(selection).__contains__))
        if to_queue:
            return _leave_to_worker(film, selection)
        return run_making(film, selection, workers=jobs, frames=chosen_frames)


def _chosen_frames(text: str | None, paths: tuple[str, ...], to_queue: bool) -> tuple[int, ...]:
    if text is None:
        return ()
    if not paths or to_queue:
        raise UsageError("--frames: is for sequences named here, made now", "regen-vcs regenerate shots/sky.####.png --frames 37-40")
    try:
        return tuple(numbers_in(text))
    except InvalidError as error:
        raise UsageError(f"--frames: {error.what}") from None


def _leave_to_worker(film: Project, selection: Selection) -> int:
    count = len(film.enqueue(selection, start=False))
    started = film.workspace.settings.get("checkout.background") and start_worker(film.workspace)
    say(f"{count} queued" + ("; a worker makes them" if started else "") + "; follow it: regen-vcs queue --follow")
    return 0
