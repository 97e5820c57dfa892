"""`regen-vcs models`, and what `regenerate` says about models."""

from __future__ import annotations

import sys

import click

from regen_vcs.cli.terminal import note, print_json, say, workspace
from regen_vcs.engine.in_place_snapshot import look_at_both
from regen_vcs.engine.models import (
    Difference,
    ModelUse,
    apply_models,
    differing_models,
    grouped,
    survey_models,
)
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError, UsageError
from regen_vcs.model.model_reference import model_words, short_digest
from regen_vcs.model.quantities import human_size
from regen_vcs.model.recipe import Model

_WRONG = frozenset({"missing", "differs", "invalid"})
_COLOURS = {"here": "32", "missing": "33", "differs": "31", "invalid": "31;1"}
_NAMED_ASSETS = 3  # of a change that concerns many


@click.command("models")
@click.option("--hash", "hash_all", is_flag=True, help="Compute the hash of unpinned models too, to pin them.")
@click.option("--check", is_flag=True, help="Exit with 1 if one in use is missing or has other bytes.")
@click.option("--outdated", is_flag=True, help="Instead: where recipes name another model than regen.toml configures now.")
@click.option("--json", "as_json", is_flag=True, help="Everything, as JSON.")
def models_command(hash_all: bool, check: bool, outdated: bool, as_json: bool) -> int:
    """Show the models that recipes use or regen.toml defines, and what this machine has of them.

    A model with a hash is *pinned*: its file is hashed once and compared. One known by name alone is *unpinned*:
    two machines may have different files of that name, and the same key.

    \b
    Example: regen-vcs models --hash
    """
    if outdated:
        return _show_outdated(as_json)
    with workspace() as ws:
        with _HashingNote() as hashing:
            uses = survey_models(ws, hash_all=hash_all, on_hashing=hashing)
        folders = list(ws.settings.get("modelPath"))
    if as_json:
        print_json({"models": [_document(use) for use in uses], "model_path": folders})
    else:
        _print(uses, folders)
    return 1 if check and any(use.assets and use.state in _WRONG for use in uses) else 0


def _show_outdated(as_json: bool) -> int:
    """Reads recipes and regen.toml, and no model's file."""
    with workspace() as ws:
        found = grouped(differing_models(look_at_both(ws), lambda path: True))
    if as_json:
        print_json({"outdated": [{"old": _reference(old), "new": _reference(new), "assets": assets} for old, new, assets in found]})
        return 0
    for old, new, assets in found:
        say(f"{model_words(old)} → {model_words(new)}: {_some_of(assets)}")
    if not found:
        say("every recipe names the model that regen.toml configures, or one it does not know")
    return 0


def _some_of(assets: list[str]) -> str:
    more = len(assets) - _NAMED_ASSETS
    return ", ".join(assets[:_NAMED_ASSETS]) + (f" and {more} more" if more > 0 else "")


def _reference(model: Model) -> dict:
    return {"name": model.name, "version": model.version, "hash": model.hash}


def _document(use: ModelUse) -> dict:
    located = use.located
    return {
        "name": use.model.name, "version": use.model.version, "hash": use.model.hash, "pinned": use.pinned,
        "alias": use.alias, "roles": sorted(use.roles), "assets": use.assets, "state": use.state,
        "path": located.path if located else None, "found_hash": located.hash if located else None,
        "license": use.about.get("license"), "source": use.about.get("source"),
        "successor": use.about.get("successor"), "problem": use.problem,
    }  # fmt: skip


def _print(uses: list[ModelUse], folders: list[str]) -> None:
    if not uses:
        say("no models: no recipe names one, and regen.toml has no [models]")
        return
    colour = sys.stdout.isatty()
    for use in uses:
        for line in _lines(use, colour):
            say_raw(line)
    say()
    say(_summary(uses))
    if not folders and any(use.state == "missing" for use in uses):
        note("  hint: say where models are: git config --global regen.modelPath ~/models")


def say_raw(line: str) -> None:
    """A line that holds our own colours; names in it were made harmless before."""
    print(line)


def _lines(use: ModelUse, colour: bool) -> list[str]:
    from regen_vcs.cli.main import one_line

    word = f"{use.state:<8}"
    if colour:
        word = f"\x1b[{_COLOURS[use.state]}m{word}\x1b[0m"
    name = " ".join(each for each in (use.model.name or "(by hash only)", use.model.version) if each)
    pin = short_digest(use.model.hash) if use.pinned else "unpinned"
    lines = [f"{word} {one_line(name)}  {pin}  {_usage(use)}"]
    lines += [f"         {label:<9} {one_line(text)}" for label, text in _details(use)]
    return lines


def _usage(use: ModelUse) -> str:
    alias = f", alias {use.alias}" if use.alias else ""
    if not use.assets:
        return f"(not used{alias})"
    roles = ", ".join(sorted(use.roles))
    return f"({_assets(len(use.assets))} as {roles}{alias})"


def _details(use: ModelUse) -> list[tuple[str, str]]:
    found = []
    if use.problem:
        found.append(("problem", use.problem))
    if use.located and use.located.path:
        found.append(("at", use.located.path))
    if use.state == "differs":
        found.append(("but it is", use.located.hash))
        found.append(("wanted", use.model.hash))
    elif use.located and use.located.hash and not use.pinned:
        found.append(("hash", use.located.hash))
    found += [(key, str(use.about[key])) for key in ("license", "successor") if key in use.about]
    if use.state == "missing" and "source" in use.about:
        found.append(("source", str(use.about["source"])))
    return found


def _summary(uses: list[ModelUse]) -> str:
    counts = {state: sum(use.state == state for use in uses) for state in _COLOURS}
    parts = [f"{count} {state}" for state, count in counts.items() if count]
    unpinned = sum(not use.pinned for use in uses)
    if unpinned:
        parts.append(f"{unpinned} unpinned")
    noun = "model" if len(uses) == 1 else "models"
    return f"{len(uses)} {noun}: {', '.join(parts)}"


class _HashingNote:
    """Says on a terminal what is being read: a model of some gigabytes takes its time, the first time."""

    def __init__(self):
        self._name, self._done, self._shown = "", 0, 0

    def __enter__(self) -> _HashingNote:
        return self

    def __call__(self, name: str, count: int) -> None:
        if name != self._name:
            self._name, self._done, self._shown = name, 0, 0
        self._done += count
        if self._done - self._shown >= 1 << 28 and sys.stderr.isatty():
            self._shown = self._done
            from regen_vcs.cli.main import one_line

            print(f"\r\x1b[Khashing {one_line(name)}: {human_size(self._done)}", end="", file=sys.stderr, flush=True)

    def __exit__(self, *_: object) -> None:
        if self._shown and sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


# ---------------------------------------------------------------- regenerate


def hint_at_current_models(differences: list[Difference]) -> None:
    """One line where regen.toml configures other models than the recipes name."""
    if differences:
        count = len({each.path for each in differences})
        note(f"{_recipes(count)} models that regen.toml configures otherwise now, and they are used; to change them: "
             "regen-vcs regenerate --current-models")


def change_to_current_models(ws: Workspace, differences: list[Difference], *, yes: bool) -> set[str]:
    """Show each change of model, ask, and write it into the recipes; the assets it concerns.

    RegenError where the answer is no; UsageError where nobody can be asked.
    """
    if not differences:
        say("every recipe names the models that regen.toml configures, or none of them")
        return set()
    for old, new, paths in grouped(differences):
        say(model_words(old))
        say(f"  → {model_words(new)}")
        say(f"    {_named(paths)}")
    count = len({each.path for each in differences})
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"{_recipes(count)} models that regen.toml configures otherwise, and nobody to ask: this is no terminal",
                             "look at them, then say --yes too")
        if not click.confirm(f"Change {_assets(count)} to these and make them again?", err=True):
            raise RegenError("nothing was changed")
    apply_models(ws, differences)
    return {each.path for each in differences}


def _named(paths: list[str]) -> str:
    more = f" and {len(paths) - _NAMED_ASSETS} more" if len(paths) > _NAMED_ASSETS else ""
    return ", ".join(paths[:_NAMED_ASSETS]) + more


def _recipes(count: int) -> str:
    return "1 recipe names" if count == 1 else f"{count} recipes name"


def _assets(count: int) -> str:
    return "1 asset" if count == 1 else f"{count} assets"
