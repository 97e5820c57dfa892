"""What an export file says is in it: which recipe, at which path, is which piece of its text. docs/spec/export-format.md.

There is exactly one valid manifest for a given content, so that the same repository always gives the same file. Whoever
reads one believes nothing: every path is checked by the rules of assets and inputs, every number by its bounds.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from regen_vcs.errors import InvalidError
from regen_vcs.model.canonical import Json, canonical_bytes, parse_json
from regen_vcs.model.paths import check_asset_path, check_member_name, fold

MAX_TEXT_BYTES = 1 << 20  # of one sidecar or one text input
MAX_MANIFEST_BYTES = 64 << 20
MAX_ENTRIES = 1 << 20

Entries = list[tuple[str, int]]
_FIELDS = ("documents", "files", "project", "refs", "sidecars", "sizes", "versions")


@dataclass(frozen=True, slots=True)
class ExportManifest:
    """The numbers are of objects: pieces of text, each there once, in the order in which they are first named here.

    project: regen.toml, or None. files: text inputs and code, by path. sidecars, documents: by the *asset's* path;
    documents are those of the layout without sidecars. versions: sidecars as branches and tags have them.
    refs: {full name of a ref: numbers of its versions}. sizes: bytes of each object.
    """

    project: int | None = None
    files: Entries = field(default_factory=list)
    sidecars: Entries = field(default_factory=list)
    documents: Entries = field(default_factory=list)
    versions: Entries = field(default_factory=list)
    refs: dict[str, list[int]] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)

    def mentions(self) -> Iterator[int]:
        """Every object number, in the order in which objects are counted."""
        if self.project is not None:
            yield self.project
        for entries in (self.files, self.sidecars, self.documents, self.versions):
            for _, number in entries:
                yield number


class ObjectList:
    """Pieces of text as they get their numbers: the same bytes have one."""

    def __init__(self) -> None:
        self.objects: list[bytes] = []
        self._numbers: dict[bytes, int] = {}

    def number_of(self, data: bytes) -> int:
        if data not in self._numbers:
            self._numbers[data] = len(self.objects)
            self.objects.append(data)
        return self._numbers[data]


def build_manifest(
    *, project: bytes | None, files: Mapping[str, bytes], sidecars: Mapping[str, bytes], documents: Mapping[str, bytes],
    refs: Mapping[str, Mapping[str, bytes]],
) -> tuple[ExportManifest, list[bytes]]:
    """(manifest, objects) of texts by path; refs: {ref: {asset path: sidecar}}. InvalidError for what is too much."""
    texts = ObjectList()
    number = texts.number_of(project) if project is not None else None

    def listed(entries: Iterable[tuple[str, bytes]]) -> Entries:
        return [(path, texts.number_of(data)) for path, data in sorted(entries)]

    plain = [listed(each.items()) for each in (files, sidecars, documents)]
    every_version = {(path, data) for tree in refs.values() for path, data in tree.items()}
    versions = sorted((path, texts.number_of(data)) for path, data in sorted(every_version))
    numbers = {(path, texts.objects[each]): at for at, (path, each) in enumerate(versions)}
    named = {ref: sorted(numbers[each] for each in tree.items()) for ref, tree in refs.items()}
    manifest = ExportManifest(number, *plain, versions, named, [len(each) for each in texts.objects])
    _check(manifest)
    return manifest, texts.objects


def manifest_line(manifest: ExportManifest) -> bytes:
    """The manifest's one text: canonical JSON on one line, and a line feed."""
    document = {
        "documents": _pairs(manifest.documents), "files": _pairs(manifest.files), "project": manifest.project,
        "refs": dict(manifest.refs), "sidecars": _pairs(manifest.sidecars), "sizes": list(manifest.sizes),
        "versions": _pairs(manifest.versions),
    }
    return canonical_bytes(document) + b"\n"


def parse_manifest_line(line: bytes) -> ExportManifest:
    """The manifest in its text, every path and number in it checked. InvalidError."""
    document = parse_json(line, max_bytes=MAX_MANIFEST_BYTES)
    if type(document) is not dict or document.keys() != set(_FIELDS):
        raise InvalidError(f"its manifest is not an object of {', '.join(_FIELDS)}")
    project = document["project"]
    if project is not None:
        _check_number(project, "project")
    refs = document["refs"]
    if type(refs) is not dict or not all(type(each) is list for each in refs.values()):
        raise InvalidError("refs: must be an object of arrays")
    for numbers in (*refs.values(), document["sizes"]):
        if type(numbers) is not list:
            raise InvalidError("sizes: must be an array")
        for each in numbers:
            _check_number(each, "sizes and refs")
    manifest = ExportManifest(
        project, *(_entries(document[name], name) for name in ("files", "sidecars", "documents", "versions")), refs, document["sizes"]
    )
    _check(manifest)
    if manifest_line(manifest) != line:
        raise InvalidError("its manifest is not in canonical form")
    return manifest


def check_file_path(path: str) -> None:
    """InvalidError unless a text input or a piece of code may be brought to this path.

    Beside what no asset may be: nothing in a hidden folder or with a hidden name, which other programs take orders from.
    """
    check_member_name(path)
    if any(part.startswith(".") for part in path.split("/")):
        raise InvalidError(f"{path!r}: is hidden, or lies in a hidden folder")


# ---------------------------------------------------------------- checking


def _check(manifest: ExportManifest) -> None:
    total = len(manifest.files) + len(manifest.sidecars) + len(manifest.documents) + len(manifest.versions)
    if total + sum(map(len, manifest.refs.values())) > MAX_ENTRIES:
        raise InvalidError(f"more than {MAX_ENTRIES:,} entries")
    _check_objects(manifest)
    for name in ("files", "sidecars", "documents"):
        _check_paths(getattr(manifest, name), check_file_path if name == "files" else check_asset_path)
    for path, _ in manifest.versions:
        check_asset_path(path)
    if any(left >= right for left, right in zip(manifest.versions, manifest.versions[1:], strict=False)):
        raise InvalidError("versions: not in order")
    _check_collisions(manifest)
    _check_refs(manifest)


def _check_objects(manifest: ExportManifest) -> None:
    for size in manifest.sizes:
        if size > MAX_TEXT_BYTES:
            raise InvalidError(f"holds a piece of {size:,} bytes: over the limit of 1 MiB")
    expected = 0
    for number in manifest.mentions():
        if number > expected:
            raise InvalidError("its objects are not in the order in which they are named")
        expected += number == expected
    if expected != len(manifest.sizes):
        raise InvalidError("it holds objects that nothing names, or names some that it lacks")


def _check_paths(entries: Entries, check) -> None:
    for path, _ in entries:
        check(path)
    for (left, _), (right, _) in itertools.pairwise(entries):
        if left >= right:
            raise InvalidError(f"{right!r}: named twice, or out of order")


def _check_collisions(manifest: ExportManifest) -> None:
    """No two assets, and no asset and file, that one file system or another would take for the same."""
    seen: dict[str, str] = {}
    for path, _ in [*manifest.sidecars, *manifest.documents, *manifest.files]:
        folded = fold(path)
        if folded in seen:
            raise InvalidError(f"{path!r}: collides with {seen[folded]!r}")
        seen[folded] = path


def _check_refs(manifest: ExportManifest) -> None:
    named: set[int] = set()
    for ref, numbers in manifest.refs.items():
        if not ref.startswith("refs/") or not ref.isprintable():
            raise InvalidError(f"{ref!r}: is not the full name of a branch or tag")
        if numbers and (numbers[-1] >= len(manifest.versions) or any(a >= b for a, b in itertools.pairwise(numbers))):
            raise InvalidError(f"{ref}: names versions that are not there, or not in order")
        named.update(numbers)
    if len(named) != len(manifest.versions):
        raise InvalidError("versions: there are some that no ref names")


def _entries(value: Json, name: str) -> Entries:
    if type(value) is not list:
        raise InvalidError(f"{name}: must be an array")
    for each in value:
        if type(each) is not list or len(each) != 2 or type(each[0]) is not str:
            raise InvalidError(f"{name}: must be pairs of a path and a number")
        _check_number(each[1], name)
    return [(path, number) for path, number in value]


def _check_number(value: Json, name: str) -> None:
    if type(value) is not int or not 0 <= value < 1 << 31:
        raise InvalidError(f"{name}: {str(value)[:20]!r} is no number of its kind")


def _pairs(entries: Entries) -> list[list]:
    return [[path, number] for path, number in entries]
