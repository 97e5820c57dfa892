"""Three-way merge of sidecars on their JSON trees. docs/spec/merge.md has the rules in MUST words.

What two people changed in different fields merges; what they changed in the same field becomes a conflict on
exactly that field, in canonical text, such that taking either side of every conflict gives valid JSON.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterator

from regen_vcs.errors import InvalidError
from regen_vcs.git.run import Git, GitError
from regen_vcs.model.canonical import Json, canonical_bytes, normalise, parse_json, pretty_bytes
from regen_vcs.model.recipe import recipe_from_json

MARKER_SIZE = 7
LABELS = ("ours", "theirs")

_IDENTITY = ("generator", "definition", "models", "params", "inputs")
_FOLLOWERS = ("output", "review", "meta")  # merged after, and according to, identity
_MODEL_IDENTITY = ("hash", "name", "version")


class Merged(namedtuple("_Merged", ("data", "conflicts"))):
    """data: the merged sidecar, with markers where `conflicts` (JSON paths, such as "params.seed") is not empty."""

    __slots__ = ()


class _Conflict(namedtuple("_ConflictFields", ("ours", "theirs"))):
    """A place in the merged tree where the sides disagree. A side may be _MISSING."""

    __slots__ = ()


class _Missing:
    """A field that is not there, which is not the same as null."""


_MISSING = _Missing()


def merge_documents(
    base: bytes | None,
    ours: bytes,
    theirs: bytes,
    key_of: Callable[[Json], object] | None = None,
    *,
    marker_size: int = MARKER_SIZE,
    labels: tuple[str, str] = LABELS,
) -> Merged:
    """Merge two sidecars that come from `base` (None, or not a sidecar: they have nothing in common).

    key_of: what names a document's identity; `output` follows it. By default the identity itself, with inputs by
    their paths. InvalidError if ours or theirs is not a valid sidecar: then text is all that can be merged.
    """
    ours_tree, theirs_tree = _parse(ours), _parse(theirs)
    base_tree = _parse_base(base)
    tree = _merge_trees(base_tree, ours_tree, theirs_tree, key_of or identity_of)
    conflicts = list(_conflict_paths(tree))
    if not conflicts and not _is_valid(tree):
        # Each side is valid and the two together are not: nobody but the user can say which.
        tree, conflicts = _Conflict(ours_tree, theirs_tree), [""]
    lines = _document_lines(tree, marker_size, labels)
    return Merged(("\n".join(lines) + "\n").encode(), conflicts)


def merge_files(
    git: Git,
    base_path: str,
    ours_path: str,
    theirs_path: str,
    *,
    marker_size: int = MARKER_SIZE,
    key_of: Callable[[Json], object] | None = None,
) -> list[str]:
    """The merge driver's work: merge the three files into `ours_path`, and return what is in conflict.

    Paths are absolute, or relative to where git was started. Where a side is no valid sidecar (or a newer one), git
    merges the text; its conflicts then have the path "". GitError if git cannot do that either.
    """
    base, ours, theirs = (_read(path) for path in (base_path, ours_path, theirs_path))
    try:
        merged = merge_documents(base or None, ours, theirs, key_of, marker_size=marker_size)
    except InvalidError:
        return _merge_text(git, base_path, ours_path, theirs_path, marker_size)
    with open(ours_path, "wb") as file:
        file.write(merged.data)
    return merged.conflicts


def _merge_text(git: Git, base_path: str, ours_path: str, theirs_path: str, marker_size: int) -> list[str]:
    argv = ("merge-file", f"--marker-size={marker_size}", "-L", LABELS[0], "-L", "base", "-L", LABELS[1])
    result = git.write_result(*argv, ours_path, base_path, theirs_path)
    if not 0 <= result.status < 128:  # below: how many conflicts
        raise GitError(argv, result.status, result.stderr)
    return [""] * result.status


def identity_of(document: Json) -> bytes:
    """What a document asks for, in one byte string. A model counts by its hash, where it has one."""
    asked = {name: document[name] for name in _IDENTITY if document.get(name) not in (None, {})}
    if "models" in asked:
        asked["models"] = {role: _model_identity(model) for role, model in asked["models"].items()}
    return canonical_bytes(asked)


def _model_identity(model: dict) -> dict:
    names = ("hash",) if "hash" in model else ("name", "version")
    return {name: model[name] for name in names if name in model}


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _parse(data: bytes) -> dict:
    document = parse_json(data)
    recipe_from_json(document)
    return document


def _parse_base(data: bytes | None) -> dict:
    if data is None:
        return {}
    try:
        return _parse(data)
    except InvalidError:
        return {}


def _is_valid(tree: dict) -> bool:
    try:
        recipe_from_json(normalise(tree))
    except InvalidError:
        return False
    return True


# --- merging ----------------------------------------------------------------------------------------


def _merge_trees(base: dict, ours: dict, theirs: dict, key_of: Callable[[Json], object]) -> object:
    if _same(ours, theirs) or _same(theirs, base):
        return ours
    if _same(ours, base):
        return theirs
    merged = {}
    for name in _names(base, ours, theirs):
        if name not in _FOLLOWERS:
            merge = _merge_models if name == "models" else _merge_node
            merged[name] = merge(_get(base, name), _get(ours, name), _get(theirs, name))
    merged["meta"] = _merge_meta(_get(base, "meta"), _get(ours, "meta"), _get(theirs, "meta"))
    _merge_output(merged, base, ours, theirs, key_of)
    return _without_missing(merged)


def _merge_node(base: object, ours: object, theirs: object) -> object:
    """One field: the side that changed it; both differently: member by member if they are objects, else a conflict."""
    if _same(ours, theirs) or _same(theirs, base):
        return ours
    if _same(ours, base):
        return theirs
    if isinstance(ours, dict) and isinstance(theirs, dict):
        base = base if isinstance(base, dict) else {}
        names = _names(base, ours, theirs)
        return _without_missing(
            {name: _merge_node(_get(base, name), _get(ours, name), _get(theirs, name)) for name in names}
        )
    return _Conflict(ours, theirs)


def _merge_models(base: object, ours: object, theirs: object) -> object:
    """Role by role. Hash, name and version are one thing: half of each side's would be a model that nobody chose."""
    if not isinstance(ours, dict) or not isinstance(theirs, dict):
        return _merge_node(base, ours, theirs)
    base = base if isinstance(base, dict) else {}
    merged = {}
    for role in _names(base, ours, theirs):
        sides = [_get(document, role) for document in (base, ours, theirs)]
        told = [_model_names(side) for side in sides]
        clash = len({canonical_bytes(each) for each in told}) == 3
        merged[role] = _Conflict(*sides[1:]) if clash else _merge_node(*sides)
    return _without_missing(merged)


def _model_names(model: object) -> list:
    return [model.get(name) for name in _MODEL_IDENTITY] if isinstance(model, dict) else []


def _merge_output(
    merged: dict, base: dict, ours: dict, theirs: dict, key_of: Callable[[Json], object]
) -> None:
    """`output` is one thing and follows identity; `review` speaks of it, so it follows `output`."""
    outputs = [_get(document, "output") for document in (base, ours, theirs)]
    reviews = [_get(document, "review") for document in (base, ours, theirs)]
    if _same(outputs[1], outputs[2]):
        merged["output"], merged["review"] = outputs[1], _merge_atom(*reviews)
        return
    side = _side_of_identity(merged, ours, theirs, key_of)
    if side == "both":
        merged["output"] = _merge_atom(*outputs)
        side = "ours" if merged["output"] is outputs[1] else "theirs"
        if isinstance(merged["output"], _Conflict):
            same_review = _same(reviews[1], reviews[2])
            merged["review"] = reviews[1] if same_review else _Conflict(*reviews[1:])
            return
    elif side == "neither":
        side = "theirs" if outputs[1] is _MISSING else "ours"
        _note_origin(merged, outputs)
    at = 1 if side == "ours" else 2
    merged["output"], merged["review"] = outputs[at], reviews[at]


def _side_of_identity(merged: dict, ours: dict, theirs: dict, key_of: Callable[[Json], object]) -> str:
    """Whose identity the merge has: "ours", "theirs", "both" or "neither"."""
    parts = {name: merged[name] for name in _IDENTITY if name in merged and merged[name] is not _MISSING}
    if any(True for _ in _conflict_paths(parts)):
        return "neither"
    key = key_of({name: value for name, value in ours.items() if name not in _IDENTITY} | parts)
    is_ours, is_theirs = key == key_of(ours), key == key_of(theirs)
    if is_ours and is_theirs:
        return "both"
    return "ours" if is_ours else "theirs" if is_theirs else "neither"


def _note_origin(merged: dict, outputs: list) -> None:
    """Both takes in `meta.merged_from`: the one that is not `output` any more can be found again."""
    present = [output for output in outputs[1:] if output is not _MISSING]
    if len(present) == 2:
        meta = merged["meta"] if isinstance(merged["meta"], dict) else {}
        takes = [{name: output[name] for name in ("hash", "key") if name in output} for output in present]
        merged["meta"] = {**meta, "merged_from": takes}


def _merge_atom(base: object, ours: object, theirs: object) -> object:
    if _same(ours, theirs) or _same(theirs, base):
        return ours
    return theirs if _same(ours, base) else _Conflict(ours, theirs)


def _merge_meta(base: object, ours: object, theirs: object) -> object:
    """As any field, but never a conflict: lists are merged as sets, and of two values ours stays."""
    if _same(ours, theirs) or _same(theirs, base) or theirs is _MISSING:
        return ours
    if _same(ours, base) or ours is _MISSING:
        return theirs
    if isinstance(ours, dict) and isinstance(theirs, dict):
        base = base if isinstance(base, dict) else {}
        names = _names(base, ours, theirs)
        return _without_missing(
            {name: _merge_meta(_get(base, name), _get(ours, name), _get(theirs, name)) for name in names}
        )
    if isinstance(ours, list) and isinstance(theirs, list):
        return _merge_sets(base if isinstance(base, list) else [], ours, theirs)
    return ours


def _merge_sets(base: list, ours: list, theirs: list) -> list:
    """Ours and what theirs added, less what either took out; ours gives the order."""
    in_base, in_ours, in_theirs = ({canonical_bytes(each) for each in side} for side in (base, ours, theirs))
    kept = [each for each in ours if canonical_bytes(each) in in_theirs or canonical_bytes(each) not in in_base]
    return kept + [each for each in theirs if canonical_bytes(each) not in in_ours | in_base]


def _same(left: object, right: object) -> bool:
    """Equal as JSON: to Python, `true` equals 1."""
    if left is _MISSING or right is _MISSING:
        return left is right
    return left == right and canonical_bytes(left) == canonical_bytes(right)


def _get(document: object, name: str) -> object:
    return document.get(name, _MISSING) if isinstance(document, dict) else _MISSING


def _names(*documents: dict) -> list[str]:
    return list(dict.fromkeys(name for document in documents for name in document))


def _without_missing(members: dict) -> dict:
    return {name: value for name, value in members.items() if value is not _MISSING}


def _conflict_paths(node: object, path: str = "") -> Iterator[str]:
    if isinstance(node, _Conflict):
        yield path
    elif isinstance(node, dict):
        for name, value in node.items():
            yield from _conflict_paths(value, f"{path}.{name}" if path else name)


# --- text -------------------------------------------------------------------------------------------
#
# A rendered tree is a list of lines and blocks; a block has the lines of both sides. Commas are the difficulty:
# a field that only one side has may be the last one on that side only. Then the block begins one field earlier,
# so that each side carries its own comma.


class _Block(namedtuple("_Block", ("ours", "theirs"))):
    """Lines where the sides differ."""

    __slots__ = ()


def _document_lines(tree: object, marker_size: int, labels: tuple[str, str]) -> list[str]:
    if isinstance(tree, _Conflict):
        segments = [_Block(_plain_lines(tree.ours), _plain_lines(tree.theirs))]
    else:
        segments = ["{", *_member_segments(tree, "  "), "}"] if tree else ["{}"]
    lines: list[str] = []
    for segment in segments:
        if isinstance(segment, str):
            lines.append(segment)
        else:
            lines += [f"{'<' * marker_size} {labels[0]}", *segment.ours, "=" * marker_size]
            lines += [*segment.theirs, f"{'>' * marker_size} {labels[1]}"]
    return lines


def _member_segments(tree: dict, indent: str) -> list[str | _Block]:
    """The members of an object, with their commas, without its braces."""
    names = sorted(tree, key=lambda name: name.encode("utf-16-be"))
    last = [_last_index(tree, names, side) for side in (0, 1)]
    cut = len(names) if last[0] == last[1] else min(last)
    segments: list[str | _Block] = []
    for index, name in enumerate(names[:cut]):
        member = _one_member(name, tree[name], indent)
        segments += member if index == last[0] else _with_comma(member)
    if cut < len(names):
        rest = {name: tree[name] for name in names[cut:]}
        segments.append(_Block(*(_plain_members(_resolve(rest, side), indent) for side in (0, 1))))
    return segments


def _last_index(tree: dict, names: list[str], side: int) -> int:
    """Index of the last member that a side has; there is one (see `_one_member`)."""
    return max(index for index, name in enumerate(names) if _resolve(tree[name], side) is not _MISSING)


def _one_member(name: str, node: object, indent: str) -> list[str | _Block]:
    if not any(True for _ in _conflict_paths(node)):
        return list(_plain_members({name: node}, indent))
    views = [_resolve(node, side) for side in (0, 1)]
    if isinstance(node, _Conflict) or not all(views):
        # The field itself is in dispute, or it is an object that one side leaves empty.
        return [_Block(*(_plain_members({name: view}, indent) for view in views))]
    head = _plain_members({name: {}}, indent)[0].removesuffix("}")
    return [head, *_member_segments(node, indent + "  "), indent + "}"]


def _with_comma(segments: list[str | _Block]) -> list[str | _Block]:
    final = segments[-1]
    if isinstance(final, str):
        return [*segments[:-1], final + ","]
    return [*segments[:-1], _Block(*(_comma_after(side) for side in final))]


def _comma_after(lines: list[str]) -> list[str]:
    return [*lines[:-1], lines[-1] + ","] if lines else []


def _resolve(node: object, side: int) -> object:
    """The plain value that taking one side of every conflict gives."""
    if isinstance(node, _Conflict):
        return node[side]
    if not isinstance(node, dict):
        return node
    return _without_missing({name: _resolve(value, side) for name, value in node.items()})


def _plain_lines(value: Json) -> list[str]:
    return pretty_bytes(value).decode()[:-1].split("\n")  # not splitlines: U+2028 may stand in a string


def _plain_members(members: dict, indent: str) -> list[str]:
    """Canonical lines of an object's members, at this indent; commas between them."""
    present = _without_missing(members)
    if not present:
        return []
    lines = pretty_bytes(present).decode()[:-1].split("\n")[1:-1]
    return [indent + line[2:] for line in lines]
