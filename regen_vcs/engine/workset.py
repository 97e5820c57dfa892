"""The working set: which assets a checkout holds on disk. The rest stay recipes (docs/workset.md).

A list of selectors in the worktree's state folder (`git rev-parse --git-path regen/workset`), as readable JSON. Each adds
assets or takes some away, and the last that speaks of an asset decides. No file: everything is in it. Hot path: every sync
asks whether there is a file.
"""

from __future__ import annotations

import os
from collections import namedtuple
from collections.abc import Callable, Iterable

from regen_vcs.errors import InvalidError, NewerFormat, RegenError
from regen_vcs.platform.files import read_regular, write_atomic, write_error

TYPE_CHECKING = False  # as typing has it: importing that costs a hook 10 ms
if TYPE_CHECKING:
    from regen_vcs.engine.desired import Desired
    from regen_vcs.engine.workspace import Workspace
    from regen_vcs.model.recipe import Recipe

FORMAT = 1
FILE = "workset"
KINDS = ("paths", "tag", "shot", "scene", "uses")
OUTSIDE = "outside the working set"
_MAX_BYTES = 8 << 20
_META = ("tag", "shot", "scene")

# adds: whether it brings assets into the set or takes them out. kind: of KINDS. values: of "paths" the pathspecs of one
# command, from the root; else one word. found: of "uses" the assets that the .blend used when Blender last opened it.
# of: the BLAKE3 of that .blend, or None where its recipes were asked instead.
Selector = namedtuple("Selector", ("adds", "kind", "values", "found", "of"), defaults=((), None))


def describe(selector: Selector) -> str:
    """A selector in words: `shots/010/**`, `not tag hero`."""
    text = " ".join(selector.values)
    words = text if selector.kind == "paths" else f"{selector.kind} {text}" if selector.kind != "uses" else f"what {text} uses"
    return words if selector.adds else f"not {words}"


class WorkingSet:
    """Which assets of one worktree are wanted. selectors: None for all of them."""

    def __init__(self, ws: Workspace, selectors: Iterable[Selector] | None):
        self._ws = ws
        self.selectors = None if selectors is None else tuple(selectors)
        self._tests: list[tuple[bool, Callable[[Desired, Recipe | None], bool]]] | None = None
        self._known: dict[tuple[str, str], bool] = {}

    @classmethod
    def load(cls, ws: Workspace) -> WorkingSet:
        """That of the workspace's worktree. InvalidError for a file that is none of ours: then nobody knows what is wanted."""
        return cls(ws, read_selectors(path_of(ws)))

    @property
    def is_everything(self) -> bool:
        return self.selectors is None

    def wants(self, desired: Desired, recipe: Recipe | None = None) -> bool:
        """Whether this asset belongs on disk here. recipe: its recipe, where that is not to be read from disk."""
        if self.selectors is None:
            return True
        if recipe is not None:
            return self._decide(desired, recipe)
        name = (desired.path, desired.memo_name)
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = self._decide(desired)
        return known

    def _decide(self, desired: Desired, recipe: Recipe | None = None) -> bool:
        if self._tests is None:
            self._tests = [(each.adds, self._test_of(each)) for each in reversed(self.selectors)]
        return next((adds for adds, test in self._tests if test(desired, recipe)), False)

    def _test_of(self, selector: Selector) -> Callable[[Desired, Recipe | None], bool]:
        if selector.kind == "paths":
            from regen_vcs.model.pathspec import matcher_of, parse_pathspec  # `re`: only where there is a set

            matches = matcher_of(parse_pathspec(each, "") for each in selector.values)
            return lambda desired, recipe: matches(desired.path)
        if selector.kind == "uses":
            found = frozenset(selector.found)
            return lambda desired, recipe: desired.path in found
        word, kind = selector.values[0], selector.kind
        if kind == "tag":
            return lambda desired, recipe: word in self._meta_of(desired, recipe)["tag"]
        return lambda desired, recipe: word in desired.path.split("/")[:-1] or word in self._meta_of(desired, recipe)[kind]

    def _meta_of(self, desired: Desired, recipe: Recipe | None) -> dict[str, list[str]]:
        """{"tag", "shot", "scene": words} of an asset's recipe, parsed once in its life."""
        if recipe is not None:
            return dict(zip(_META, _meta_words(recipe.meta), strict=True))
        known = self._ws.memo.get(f"m:{desired.memo_name}") if desired.memo_name else None
        if not isinstance(known, list) or len(known) != len(_META):
            known = self._read_meta(desired)
        return dict(zip(_META, known, strict=True))

    def _read_meta(self, desired: Desired) -> list[list[str]]:
        # What parses a recipe: only where the set asks for what one says of itself.
        from regen_vcs.engine.desired import read_sidecar_bytes
        from regen_vcs.engine.in_place_documents import is_in_place, read_in_place
        from regen_vcs.git.index import blob_oid
        from regen_vcs.model.recipe import parse_recipe

        ws, path = self._ws, desired.path
        try:
            if is_in_place(ws, path):
                return _meta_words(read_in_place(ws, path).meta)
            data = read_sidecar_bytes(ws.root, path)
            found = _meta_words(parse_recipe(data, path).meta)
        except (RegenError, OSError):
            return [[] for _ in _META]  # what cannot be read says nothing of itself
        # Under the name of the text that was read, which may be a newer one than at the look.
        ws.memo.put(f"m:{ws.memo.facts(data, blob_oid(data, ws.repo.oid_format), path)[0]}", found)
        return found


def _meta_words(meta: dict) -> list[list[str]]:
    tags = meta.get("tags")
    return [_words(tags if isinstance(tags, list) else []), _words([meta.get("shot")]), _words([meta.get("scene")])]


def _words(values: Iterable[object]) -> list[str]:
    return [str(each) for each in values if isinstance(each, str | int) and not isinstance(each, bool)]


def with_selectors(old: Iterable[Selector] | None, new: Iterable[Selector]) -> tuple[Selector, ...] | None:
    """The set after somebody added or removed these, in order; None for everything."""
    found = [everything()] if old is None else list(old)
    for each in new:
        found = [known for known in found if (known.kind, known.values) != (each.kind, each.values)]
        if is_everything(each):
            found = [each] if each.adds else []
        elif each.adds or any(known.adds for known in found):
            found.append(each)
    while found and not found[0].adds:
        del found[0]  # nothing is in the set yet that it could take out
    return None if [*map(is_everything, found)] == [True] else tuple(found)


def everything() -> Selector:
    return Selector(True, "paths", (":/",))


def is_everything(selector: Selector) -> bool:
    return selector.kind == "paths" and selector.values == (":/",)


# -- the file ------------------------------------------------------------------------------------------------------------


def path_of(ws: Workspace) -> str:
    return f"{ws.repo.state_dir}/{FILE}"


def read_selectors(path: str) -> tuple[Selector, ...] | None:
    """None where there is no file. InvalidError for what is none of ours, NewerFormat for a later version's."""
    try:
        data = read_regular(path, _MAX_BYTES + 1)
    except RegenError as error:
        raise _broken(path, error.what) from None
    if data is None:
        if os.path.lexists(path):
            raise _broken(path, "not a regular file")
        return None
    import json  # no hook without a set needs it here

    try:
        document = json.loads(data)
        version = document["regen-workset"]
        if type(version) is int and version > FORMAT:
            raise NewerFormat(f"{path}: written by a newer regen-vcs; nothing was changed", "use the newer version")
        if type(version) is not int or version != FORMAT or len(data) > _MAX_BYTES:
            raise ValueError
        return tuple(_parse(each) for each in document["selectors"])
    except (ValueError, KeyError, TypeError, RecursionError, IndexError, AttributeError):
        raise _broken(path, "not a working set") from None
    except NewerFormat:
        raise
    except RegenError as error:
        raise _broken(path, error.what) from None


def _broken(path: str, why: str) -> InvalidError:
    return InvalidError(
        f"{path}: {why}; no media were touched", "say the set again: regen-vcs workset only SELECTOR…, or: regen-vcs workset all"
    )


def _parse(entry: dict) -> Selector:
    """One entry; ValueError, KeyError, TypeError, UsageError for what we never write."""
    (verb, what), = entry.items()
    kind = next((each for each in KINDS if each in what), "")
    values = what[kind] if kind == "paths" else [what[kind]]
    found, of = what.get("found", []), what.get("of")
    if verb not in ("add", "remove") or not isinstance(values, list) or not values or not isinstance(found, list):
        raise ValueError
    if not all(isinstance(each, str) and each for each in [*values, *found, of or "-"]):
        raise ValueError
    if kind == "paths":
        from regen_vcs.model.pathspec import parse_pathspec

        for each in values:
            parse_pathspec(each, "")
    return Selector(verb == "add", kind, tuple(values), tuple(found), of)


def write_selectors(path: str, selectors: Iterable[Selector] | None) -> None:
    """Write the set down; None: no file. Durable when it returns. RegenError for a full or read-only disk."""
    try:
        if selectors is None:
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass
            return
        import json

        lines = ",\n".join("  " + json.dumps(_entry(each), ensure_ascii=True) for each in selectors)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        text = f'{{\n "regen-workset": {FORMAT},\n "selectors": [{lines and chr(10) + lines + chr(10) + " "}]\n}}\n'
        write_atomic(path, text.encode("ascii"), durable=True)
    except OSError as error:
        raise write_error(error, "writing the working set") from error


def _entry(selector: Selector) -> dict:
    if selector.kind == "paths":
        what: dict = {"paths": list(selector.values)}
    else:
        what = {selector.kind: selector.values[0]}
    if selector.kind == "uses":
        what |= {"found": list(selector.found), "of": selector.of}
    return {"add" if selector.adds else "remove": what}
