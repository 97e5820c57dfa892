"""What `generate`, `regenerate` and `set` show while generators run."""

from __future__ import annotations

from regen_vcs.api.project import Project
from regen_vcs.api.results import Result, Selection
from regen_vcs.cli.project import followed_by
from regen_vcs.cli.terminal import MakingProgress, note
from regen_vcs.engine.making import refresh_recipe
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import Interrupted, RegenError, worst_exit_code
from regen_vcs.model.quantities import human_duration, human_size


def run_making(
    project: Project, chosen: Selection | list[str], *, workers: int | None = None, frames: tuple[int, ...] = ()
) -> int:
    """Make these assets as the user's own verb; the exit code."""
    codes = []
    try:
        with MakingProgress(len(chosen)) as progress:
            for result in project.make(chosen, frames=frames, jobs=workers, progress=followed_by(progress)):
                progress.finished(result.path)
                codes.append(0 if result.ok else say_failure(result.error))
                if result.ok:
                    progress.say(line_of(result))
    except KeyboardInterrupt:
        left = len(chosen) - len(codes)
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


def line_of(result: Result) -> str:
    path, how = result.path, "from the cache" if result.reused else f"in {human_duration(result.seconds)}"
    size = human_size(result.size)
    if result.verdict == "made":
        return f"made     {path}  ({size}, {how})"
    if result.verdict == "restored":
        return f"restored {path}  (the accepted bytes, {how})"
    if result.verdict == "equal":
        return f"restored {path}  (the accepted content in other bytes, {how})"
    if result.verdict == "present":
        return f"kept     {path}  (what it is made from came out the same)"
    if result.verdict == "drifted":
        score = "" if result.score is None else f", score {result.score:.3f}"
        return f"drifted  {path}  (not the accepted result{score}; regen-vcs accept {path}, or back: regen-vcs fetch {path})"
    if result.verdict == "proposed":
        return f"proposed {path}  ({size}; take it with: regen-vcs accept {path})"
    return f"filed    {path}  (its recipe changed meanwhile; the take is kept under the old key)"
