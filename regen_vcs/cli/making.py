"""What `generate`, `regenerate` and `set` show while generators run."""

from __future__ import annotations

from regen_vcs.cli.terminal import MakingProgress, note
from regen_vcs.engine.making import make_assets, refresh_recipe
from regen_vcs.engine.settling import Made
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import Interrupted, RegenError, worst_exit_code
from regen_vcs.model.quantities import human_duration, human_size


def run_making(ws: Workspace, paths: list[str], *, force: bool, workers: int | None = None, frames: tuple[int, ...] = ()) -> int:
    """Make these assets as the user's own verb; the exit code."""
    codes = []
    try:
        with MakingProgress(len(paths)) as progress:
            for made in make_assets(ws, paths, by_user=True, force=force, frames=frames, workers=workers, progress=progress):
                progress.finished(made.path)
                codes.append(say_failure(made.error) if made.verdict == "failed" else 0)
                if made.verdict != "failed":
                    progress.say(line_of(made))
    except KeyboardInterrupt:
        left = len(paths) - len(codes)
        hint = f"{left} left in the queue: regen-vcs worker goes on with them, regen-vcs queue cancel --all forgets them"
        raise Interrupted("interrupted", hint) from None
    return worst_exit_code([code for code in codes if code])


def note_linked_files(ws: Workspace, path: str) -> None:
    """Bring the inputs that the generator finds by itself up to date; a word where it could not look."""
    error = refresh_recipe(ws, path)
    if error is not None:
        note(f"note: what it links is not listed yet: {error.what}")
        if error.hint:
            note(f"  hint: {error.hint}")


def say_failure(error: RegenError) -> int:
    note(f"error: {error.what}")
    if error.hint:
        note(f"  hint: {error.hint}")
    return error.exit_code


def line_of(made: Made) -> str:
    take = made.take
    how = "from the cache" if take.reused else f"in {human_duration(take.seconds)}"
    size = human_size(take.output.size)
    if made.verdict == "made":
        return f"made     {made.path}  ({size}, {how})"
    if made.verdict == "restored":
        return f"restored {made.path}  (the accepted bytes, {how})"
    if made.verdict == "equal":
        return f"restored {made.path}  (the accepted content in other bytes, {how})"
    if made.verdict == "drifted":
        score = "" if made.score is None else f", score {made.score:.3f}"
        return f"drifted  {made.path}  (not the accepted result{score}; regen-vcs accept {made.path}, or back: regen-vcs fetch {made.path})"
    if made.verdict == "proposed":
        return f"proposed {made.path}  ({size}; take it with: regen-vcs accept {made.path})"
    return f"filed    {made.path}  (its recipe changed meanwhile; the take is kept under the old key)"
