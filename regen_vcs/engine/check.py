"""Validation of sidecars before they are committed, and the same for CI (DESIGN, section 5).

What is checked is one *version* of the repository's files (the index about to be committed, or a revision), and in
it the sidecars that changed; everything is read from git's blobs, nothing from the working tree but the bytes of
accepted outputs that no store has yet. Each problem is a value that names file, field, reason and what mends it.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections import namedtuple
from collections.abc import Iterable, Iterator
from functools import partial

from regen_vcs.engine.check_inputs import Lineage
from regen_vcs.engine.in_place_documents import read_in_place, write_in_place
from regen_vcs.engine.in_place_filter import looks_like_document, read_documents
from regen_vcs.engine.in_place_paths import kept_in_place
from regen_vcs.engine.keeping import store_files
from regen_vcs.engine.memory import EMPTY_ROW
from regen_vcs.engine.observe import observe, read_manifest
from regen_vcs.engine.project_file import ProjectFile
from regen_vcs.engine.sidecars import write_in_tree
from regen_vcs.engine.sync import WorktreeLock
from regen_vcs.engine.workspace import PROJECT_FILE, Workspace
from regen_vcs.errors import InvalidError, NewerFormat, RegenError, UsageError
from regen_vcs.git.history import Staged, staged_changes
from regen_vcs.git.index import blob_oid, list_paths
from regen_vcs.git.managed_block import block_lines, read_file
from regen_vcs.git.repo import Repo
from regen_vcs.git.run import GitError
from regen_vcs.git.version import (
    File,
    IndexVersion,
    RevisionVersion,
    changes_between,
    ends_of_range,
    in_place,
    parents_of_index,
    tracked_media,
)
from regen_vcs.model.canonical import MAX_BYTES, pretty_bytes
from regen_vcs.model.generator_table import glob_matches
from regen_vcs.model.paths import SIDECAR_SUFFIX, asset_of, check_asset_path, fold, parse_sequence, sidecar_of
from regen_vcs.model.recipe import Output, Recipe, parse_recipe, recipe_bytes, recipe_to_json
from regen_vcs.stores.witness import ACCEPTED, Witness

ERROR, WARNING = "error", "warning"
_SIDECAR_MODE = "100644"
_APPROVED = ("approved", "final")

# path: the file at fault. field: JSON path in it, or None. mend: the command or edit that mends it, or None.
Problem = namedtuple("Problem", ("path", "field", "reason", "mend", "severity"))
# checked: how many recipes; documents: how many of them are kept in place. problems: sorted by path.
Report = namedtuple("Report", ("checked", "problems", "documents"), defaults=(0,))


# --- what can be checked ----------------------------------------------------------------------------


def check_staged(ws: Workspace, repo: Repo) -> Report:
    """The staged, changed sidecars, as pre-commit does. repo: discovered with `keep_index`."""
    changes = [change for change in staged_changes(repo) if change.oid is not None or change.status == "U"]
    checker = Checker(ws, IndexVersion(repo), parents_of_index(repo))
    report = checker.check(*_split(changes))
    if not any(problem.severity == ERROR for problem in report.problems):
        checker.note_accepted()
    return report


def check_index(ws: Workspace, wanted, *, with_bytes: bool = True) -> Report:
    """All sidecars in the index whose asset `wanted` lets pass."""
    version = IndexVersion(ws.repo)
    sidecars = [path for path in version.sidecars() if wanted(path.removesuffix(SIDECAR_SUFFIX))]
    others = [path for path in version.paths_under([""]) if not path.endswith(SIDECAR_SUFFIX) and wanted(path)]
    return Checker(ws, version, None, with_bytes=with_bytes).check(sidecars, others)


def check_range(ws: Workspace, rev_range: str, wanted, *, with_bytes: bool = True) -> Report:
    """The sidecars that `A..B` changes, as B has them. UsageError for a revision that git does not know."""
    try:
        start, end = ends_of_range(ws.repo, rev_range)
    except GitError as error:
        raise UsageError(f"{rev_range}: {error.what.partition(': ')[2]}", "as in: regen-vcs check main..HEAD") from None
    changes = [change for change in changes_between(ws.repo, start, end) if change.oid is not None]
    sidecars, others = _split(changes)
    checker = Checker(
        ws, RevisionVersion(ws.repo, end), [RevisionVersion(ws.repo, start)], with_bytes=with_bytes, staged=False
    )
    return checker.check(
        [path for path in sidecars if wanted(path.removesuffix(SIDECAR_SUFFIX))], [path for path in others if wanted(path)]
    )


def media_in_git(ws: Workspace) -> list[Problem]:
    """Files in the index that are media of a sidecar, or of a tracked pattern."""
    version = IndexVersion(ws.repo)
    checker = Checker(ws, version, None, with_bytes=False)
    return checker.check_media([path for path in version.paths_under([""]) if not path.endswith(SIDECAR_SUFFIX)])


def _split(changes: Iterable[Staged]) -> tuple[list[str], list[str]]:
    """(sidecars, other files) that were added or changed."""
    paths = [change.path for change in changes]
    return [p for p in paths if p.endswith(SIDECAR_SUFFIX)], [p for p in paths if not p.endswith(SIDECAR_SUFFIX)]


class Checker:
    """Checks sidecars of one version against each other, the stores and the generators.

    parents: what the version is built on; None: everything counts as changed. staged: the version is the index, so
    that `git add` can mend it.
    """

    def __init__(
        self, ws: Workspace, version: IndexVersion | RevisionVersion, parents: list[RevisionVersion] | None, *,
        with_bytes: bool = True, staged: bool = True,
    ):
        self._ws, self._version, self._parents = ws, version, parents
        self._with_bytes, self._staged = with_bytes, staged
        self._problems: list[Problem] = []
        self._recipes: dict[str, Recipe] = {}  # by sidecar, or the path of what is kept in place; those that could be read
        self._kept: dict[str, File] = {}  # what is kept in place, and has a document in git
        self._before: dict[str, list[Recipe]] = {}  # by sidecar; as the parents have it
        self._project: ProjectFile | None = None
        self._project_problem: InvalidError | None = None

    def check(self, sidecars: list[str], others: list[str]) -> Report:
        """Check these sidecars, what of the `others` is a document in place, and whether any should not be in git."""
        self._read(sidecars)
        self._read_in_place(others)
        if sidecars:
            self._check_names(sidecars)
        if self._recipes:
            self._before = self._read_parents(list(self._recipes))
            self._load_project()
            self._check_recipes()
        self._check_project(others)
        self._check_raw(sidecars, others)
        unique = dict.fromkeys(self._problems)
        problems = sorted(unique, key=lambda each: (each.path, each.severity, each.field or ""))
        return Report(len(sidecars) + len(self._kept), problems, len(self._kept))

    def note_accepted(self) -> None:
        """A commit is about to accept these outputs: to gc they are no leftover of a run, whatever becomes of that commit."""
        outputs = [recipe.output for recipe in self._recipes.values() if recipe.output is not None]
        objects = {output.hash for output in outputs}
        try:
            for output in outputs:
                if output.is_tree:
                    objects |= {member.hash for member in read_manifest(self._ws.stores, output.hash)}
            Witness(self._ws.stores.keep.root).saw(ACCEPTED, sorted(objects))
        except (RegenError, OSError):
            return  # a store that cannot be written: gc reads the commit itself

    def check_media(self, paths: list[str]) -> list[Problem]:
        """Which of these files git should not have."""
        self._check_raw([], paths)
        return self._problems

    def _say(self, path: str, field: str | None, reason: str, mend: str | None = None, severity: str = ERROR) -> None:
        self._problems.append(Problem(path, field, reason, mend, severity))

    def _say_error(self, path: str, error: RegenError, mend: str | None = None, severity: str = ERROR) -> None:
        field = getattr(error, "field", None)
        reason = error.what.removeprefix(f"{path}: ")
        if field:
            reason = reason.removeprefix(f"{field}: ").removeprefix(f"{field} ")
        self._say(path, field, reason, mend or error.hint, severity)

    # -- each sidecar's text ---------------------------------------------------------------------------------------

    def _read(self, sidecars: list[str]) -> None:
        files = self._version.sidecars()
        readable = {path: files[path] for path in sidecars if path in files and self._is_readable(path, files[path])}
        texts = self._texts({path: file.oid for path, file in readable.items()})
        for path, file in readable.items():
            recipe = self._parse(path, texts.get(file.oid))
            if recipe is not None:
                self._recipes[path] = recipe

    def _read_in_place(self, others: list[str]) -> None:
        """The documents among these files. Raw bytes where a document should be are said; git has an empty file as it is."""
        files = self._version.files(kept_in_place(self._ws.repo, others))
        documents = read_documents(self._ws.repo, [file.oid for file in files.values() if file.is_plain and not file.unmerged])
        for path, file in files.items():
            if file.unmerged:
                self._say(path, None, "its document has a merge conflict", f"resolve it, then: git add {quoted(path)}")
            elif file.is_plain and documents.get(file.oid) != b"":
                self._read_document(path, file, documents.get(file.oid, b""))

    def _read_document(self, path: str, file: File, data: bytes) -> None:
        if not looks_like_document(data):
            self._say(path, None, "is kept in place, but git has its raw bytes", f"git add --renormalize {quoted(path)}")
            return
        self._kept[path] = file
        recipe = self._parse(path, data)
        if recipe is not None:
            self._recipes[path] = recipe

    def _texts(self, oids: dict[str, str]) -> dict[str, bytes]:
        """{blob id: bytes}. What lies on disk with these very bytes is read there, in a fifth of git's time."""
        texts = {}
        for path, oid in oids.items() if self._staged else ():
            data = _read_plain(f"{self._ws.root}/{path}")
            if data is not None and blob_oid(data, self._ws.repo.oid_format) == oid:
                texts[oid] = data
        texts.update(self._version.read({oid: None for oid in oids.values() if oid not in texts}))
        return texts

    def _is_readable(self, path: str, file: File) -> bool:
        if file.unmerged:
            self._say(path, None, "has a merge conflict", f"resolve it, then: git add {quoted(path)}")
            return False
        if not file.is_plain:
            kind = "a symlink" if file.mode == "120000" else "no file"
            self._say(path, None, f"is {kind}: a sidecar is a plain file", f"git rm --cached {quoted(path)}")
            return False
        if file.mode != _SIDECAR_MODE:
            self._say(path, None, "is executable", f"git update-index --chmod=-x {quoted(path)} && chmod -x {quoted(path)}")
        return True

    def _parse(self, path: str, data: bytes | None) -> Recipe | None:
        if data is None:
            self._say(path, None, "its blob is missing from this repository", "git fetch", WARNING)
            return None
        try:
            recipe = parse_recipe(data, path)
        except NewerFormat as error:
            self._say_error(path, error, severity=WARNING)
            return None
        except InvalidError as error:
            self._say_error(path, error)
            return None
        if pretty_bytes(recipe_to_json(recipe)) != data:  # as `recipe_bytes`, which would validate it again
            # git has a document as somebody wrote it, if it was written by hand: that refuses no commit.
            severity = WARNING if path in self._kept else ERROR
            self._say(path, None, "is not in canonical form", f"regen-vcs check --fix {quoted(path)}", severity)
        return recipe

    # -- names -----------------------------------------------------------------------------------------------------

    def _check_names(self, sidecars: list[str]) -> None:
        everyone = {path.removesuffix(SIDECAR_SUFFIX) for path in self._version.sidecars()}
        by_fold: dict[str, list[str]] = {}
        for asset in everyone:
            by_fold.setdefault(fold(asset), []).append(asset)
        for sidecar in sidecars:
            try:
                asset = asset_of(sidecar)
                check_asset_path(asset)
            except InvalidError as error:
                self._say_error(sidecar, error, f"git mv {quoted(sidecar)} NEW_NAME{SIDECAR_SUFFIX}")
                continue
            for other in by_fold.get(fold(asset), ()):
                if other != asset:
                    reason = f"collides with {sidecar_of(other)} where case or the form of accents counts for nothing"
                    self._say(sidecar, None, reason, f"regen-vcs mv {quoted(asset)} NEW_NAME")
            outer = _asset_around(asset, everyone)
            if outer:
                self._say(sidecar, None, f"lies inside the asset {outer}", f"regen-vcs mv {quoted(asset)} NEW_NAME")

    # -- what each recipe says ---------------------------------------------------------------------------------------

    def _check_recipes(self) -> None:
        lineage = Lineage(self._ws, self._version, self._recipes, self._say, staged=self._staged)
        for sidecar, recipe in self._recipes.items():
            asset = sidecar.removesuffix(SIDECAR_SUFFIX)
            lineage.check(sidecar, recipe)
            if recipe.generator is not None:
                self._check_generator(sidecar, recipe)
            if recipe.output is not None:
                self._check_output(sidecar, asset, recipe.output)
            self._check_review(sidecar, recipe)

    def _check_output(self, sidecar: str, asset: str, output: Output) -> None:
        is_sequence = parse_sequence(asset) is not None
        if is_sequence and output.frames is None:
            self._say(sidecar, "output.frames", "missing: the asset is a numbered sequence", f"regen-vcs regenerate {quoted(asset)}")
        elif not is_sequence and output.frames is not None:
            self._say(sidecar, "output.frames", "the asset is no numbered sequence", f"regen-vcs mv {quoted(asset)} NEW_NAME")
        if not self._with_bytes or (self._kept.get(sidecar) or self._version.sidecars()[sidecar]).skipped:
            return
        known = {each.output.hash for each in self._before.get(sidecar, ()) if each.output is not None}
        if output.hash not in known:
            self._check_bytes(sidecar, asset, output)

    def _check_bytes(self, sidecar: str, asset: str, output: Output) -> None:
        size = _stored_size(self._ws, output)
        if size is None and self._keep_from_disk(asset, output):
            size = _stored_size(self._ws, output)
        if size is None:
            again = self._recipes[sidecar].generator is not None
            mend = f"regen-vcs regenerate {quoted(asset)}" if again else f"put {asset} back, then: regen-vcs add {quoted(asset)}"
            self._say(sidecar, "output.hash", "its bytes are in no store here, and not at its path", mend)
        elif size != output.size:
            self._say(sidecar, "output.size", f"is {output.size}, but its bytes are {size}", f"mend output.size in {sidecar}")

    def _keep_from_disk(self, asset: str, output: Output) -> bool:
        """Bring the accepted bytes from the asset's path into keep, where they lie there."""
        state = self._ws.state
        try:
            row = state.rows.get(asset, EMPTY_ROW)
            seen = observe(self._ws.root, asset, row, state.saved_at_ns, self._ws.stores)
            if seen.kind != "present" or seen.hash != output.hash:
                return False
            store_files(self._ws, asset, seen)
        except (RegenError, OSError):
            return False  # a full disk, a name that is none: the problem is told as missing bytes
        return True

    def _check_review(self, sidecar: str, recipe: Recipe) -> None:
        """A review is bound to the bytes it is about: other bytes want another one."""
        said = (recipe.review or {}).get("hash")
        now = f"blake3:{recipe.output.hash}" if recipe.output else None
        for before in self._before.get(sidecar, ()):
            state = (before.review or {}).get("state")
            if state not in _APPROVED or before.output is None:
                continue
            approved = f"blake3:{before.output.hash}"
            if now != approved and (now is None or said != now):
                self._say(
                    sidecar, "review", f"the {state} output was changed without a new review",
                    f"review the new one and say so in {sidecar}, or: git restore -SW -- {quoted(sidecar)}",
                )
                return
        if (recipe.review or {}).get("state") in _APPROVED and said is not None and said != now and not self._was_so(sidecar, recipe):
            self._say(sidecar, "review.hash", "the review is about another output", f"review this one and say so in {sidecar}")

    def _was_so(self, sidecar: str, recipe: Recipe) -> bool:
        """Whether a parent has the same output with the same review: not this commit's doing."""
        return any(each.review == recipe.review and each.output == recipe.output for each in self._before.get(sidecar, ()))

    def _read_parents(self, sidecars: list[str]) -> dict[str, list[Recipe]]:
        found: dict[str, list[Recipe]] = {}
        for parent in self._parents or ():
            files = parent.files(sidecars)
            texts = parent.read(dict.fromkeys(file.oid for file in files.values()))
            for path, file in files.items():
                try:
                    found.setdefault(path, []).append(parse_recipe(texts.get(file.oid, b""), path))
                except InvalidError:
                    continue  # what was wrong before is not this commit's doing
        return found

    # -- generators and regen.toml -----------------------------------------------------------------------------------

    def _load_project(self) -> None:
        file = self._version.files([PROJECT_FILE]).get(PROJECT_FILE)
        data = self._version.read([file.oid]).get(file.oid) if file else None
        self._project = ProjectFile.load(data)
        try:
            self._project.document  # noqa: B018  parsing it is the check
        except InvalidError as error:
            self._project_problem = error

    def _check_project(self, others: list[str]) -> None:
        if self._project is None and PROJECT_FILE in others:
            self._load_project()
        try:
            if self._project_problem:
                raise self._project_problem
            if PROJECT_FILE in others:
                self._project.validate()
        except InvalidError as error:
            self._say_error(PROJECT_FILE, error)

    def _check_generator(self, sidecar: str, recipe: Recipe) -> None:
        """The generator's table is in this version, its definition is current, and the params fit its schema."""
        # Here, not above: the schema libraries take 200 ms, and source assets need none of them.
        from regen_vcs.engine.check_params import check_params

        if self._project_problem:
            return  # said once, of regen.toml
        try:
            table = self._project.generator_table(recipe.generator)
        except InvalidError as error:
            self._say_error(sidecar, _at_generator(error), self._mend_table(error))
            return
        asset = sidecar.removesuffix(SIDECAR_SUFFIX)
        code = partial(self._code_files, recipe.generator)
        for field, reason, mend, severity in check_params(recipe, asset, table, self._exported_schema, code):
            self._say(sidecar, field, reason, mend, severity)
        self._check_definition(sidecar, recipe)

    def _mend_table(self, error: InvalidError) -> str | None:
        on_disk = ProjectFile.load(self._ws.project_bytes())
        alias = (error.field or "").partition(".")[2]
        try:
            defined = self._staged and alias in on_disk.document.get("generators", {})
        except RegenError:
            defined = False
        return f"git add {PROJECT_FILE}" if defined else error.hint

    def _check_definition(self, sidecar: str, recipe: Recipe) -> None:
        try:
            current = self._project.definition(recipe.generator, self._read_code, self._list_code)[0]
        except RegenError as error:
            self._say(sidecar, "definition", error.what, error.hint, WARNING)
            return
        if current != recipe.definition:
            asset = sidecar.removesuffix(SIDECAR_SUFFIX)
            self._say(
                sidecar, "definition", f"{recipe.generator} is defined otherwise in what is committed: nobody can make this again",
                f"git add {PROJECT_FILE} and the code it names, or: regen-vcs regenerate {quoted(asset)}", WARNING,
            )

    def _code_files(self, generator: str) -> dict[str, bytes]:
        _, code = self._project.definition(generator, self._read_code, self._list_code)
        return {dest: self._read_code(path) for dest, (path, _) in code.items()}

    def _list_code(self, globs: list[str]) -> list[str]:
        return [path for path in self._version.matching(globs) if any(glob_matches(glob, path) for glob in globs)]

    def _read_code(self, path: str) -> bytes:
        file = self._version.files([path]).get(path)
        if file is None or not file.is_plain:
            raise InvalidError(f"{path}: named as code in {PROJECT_FILE}, but git does not have it", f"git add {quoted(path)}")
        return self._version.read([file.oid])[file.oid]

    def _exported_schema(self, generator: str) -> bytes | None:
        """`.regen/schemas/<generator>.json` of this version, for a generator that is not installed here."""
        path = f".regen/schemas/{generator.replace(':', '-')}.json"
        file = self._version.files([path]).get(path)
        return self._version.read([file.oid]).get(file.oid) if file else None

    # -- media that git should not have ------------------------------------------------------------------------------

    def _check_raw(self, sidecars: list[str], others: list[str]) -> None:
        assets = {path.removesuffix(SIDECAR_SUFFIX) for path in self._version.sidecars()}
        sequences = _Sequences(assets)
        found: dict[str, str] = {}
        for path in [*others, *self._version.paths_under(_places(sidecars))]:
            owner = path if path in assets else _asset_around(path, assets) or sequences.owner(path)
            if owner and not path.endswith(SIDECAR_SUFFIX):
                found[path] = f"is media of {sidecar_of(owner)}"
        for path in self._media_by_pattern(others):
            found.setdefault(path, "is media by a tracked pattern")
        recipes = in_place(self._ws.repo, list(found))
        for path, what in found.items():
            if path not in recipes:  # of those it was said where they were read
                again = f" && regen-vcs add {quoted(path)}" if "pattern" in what else ""
                self._say(path, None, f"{what}, and would be in git as raw bytes", f"git rm --cached {quoted(path)}{again}")

    def _media_by_pattern(self, others: list[str]) -> list[str]:
        lines = block_lines(read_file(f"{self._ws.root}/.gitignore")) if others else None
        media = set(tracked_media(self._ws.repo, lines)) if lines else set()
        return [path for path in others if path in media]


class _Sequences:
    """Finds the numbered sequence a file is a frame of."""

    def __init__(self, assets: Iterable[str]):
        self._by_folder: dict[str, list] = {}
        for asset in assets:
            sequence = parse_sequence(asset)
            if sequence:
                self._by_folder.setdefault(sequence.directory, []).append((sequence, asset))

    def owner(self, path: str) -> str | None:
        folder, _, name = path.rpartition("/")
        for sequence, asset in self._by_folder.get(folder, ()):
            digits = name[len(sequence.prefix) : len(name) - len(sequence.suffix)]
            fits = name.startswith(sequence.prefix) and name.endswith(sequence.suffix)
            if fits and len(digits) >= sequence.digits and digits.isascii() and digits.isdigit():
                return asset
        return None


def _places(sidecars: list[str]) -> Iterator[str]:
    """Where the media of these sidecars would be: the asset's path, or a sequence's folder."""
    for sidecar in sidecars:
        asset = sidecar.removesuffix(SIDECAR_SUFFIX)
        sequence = parse_sequence(asset)
        yield sequence.directory if sequence else asset


def _asset_around(path: str, assets: set[str]) -> str | None:
    """The directory asset that a path lies in."""
    folder = path.rpartition("/")[0]
    while folder:
        if folder in assets:
            return folder
        folder = folder.rpartition("/")[0]
    return None


def _read_plain(path_abs: str) -> bytes | None:
    """A regular file no longer than a sidecar may be; None for anything else."""
    try:
        st = os.lstat(path_abs)
        return read_file(path_abs) if stat.S_ISREG(st.st_mode) and st.st_size <= MAX_BYTES else None
    except OSError:
        return None


def _stored_size(ws: Workspace, output: Output) -> int | None:
    """Bytes of an accepted output, all files together, as the local stores have it; None where any is missing."""
    try:
        if not output.is_tree:
            return ws.stores.size_of(output.hash)
        members = read_manifest(ws.stores, output.hash)
        return sum(member.size for member in members) if all(ws.stores.has(each.hash) for each in members) else None
    except (RegenError, OSError):
        return None


def _at_generator(error: InvalidError) -> InvalidError:
    """An error about a generator's table, told of the recipe that names it."""
    return InvalidError(error.what, error.hint, field="generator")


def quoted(path: str) -> str:
    """A path as a shell takes it."""
    return shlex.quote(path)


# --- mending ------------------------------------------------------------------------------------------


def fix(ws: Workspace, sidecars: Iterable[str]) -> tuple[list[str], dict[str, RegenError]]:
    """Rewrite these sidecars on disk, and documents in the index, in canonical form: (those rewritten, {those that cannot
    be: why})."""
    fixed: list[str] = []
    failed: dict[str, RegenError] = {}
    for path in sidecars:
        try:
            if not path.endswith(SIDECAR_SUFFIX):
                fixed += _fix_in_place(ws, path)
                continue
            data = _read_plain(f"{ws.root}/{path}")
            if data is None:
                raise InvalidError(f"{path}: there is no such file, or it is none that could be a sidecar")
            wanted = recipe_bytes(parse_recipe(data, path))
            if wanted != data:
                write_in_tree(ws, path, wanted)
                fixed.append(path)
        except RegenError as error:
            failed[path] = error
    return fixed, failed


def _fix_in_place(ws: Workspace, path: str) -> list[str]:
    """The path, if its document was rewritten."""
    with WorktreeLock(ws):
        recipe = read_in_place(ws, path)
        entry = list_paths(ws.repo, [path])[path]
        if blob_oid(recipe_bytes(recipe), ws.repo.oid_format) == entry.oid:
            return []
        write_in_place(ws, path, recipe)
    return [path]
