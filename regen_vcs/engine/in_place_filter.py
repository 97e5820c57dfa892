"""The filter of the second layout: git stores an asset's document, the worktree has its bytes.

Clean: bytes go into keep, their document comes out. Smudge: a document goes in, the bytes come out, or the document
itself where no store here has them. docs/in-place.md has the rules.

What clean returns depends only on the bytes and on the documents git has for that path: no clocks, no names of
machines. git asks the same question again whenever a time stamp moved, and must get the same answer.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

from blake3 import blake3

from regen_vcs.errors import InvalidError, RegenError
from regen_vcs.git.filter_protocol import serve
from regen_vcs.git.index import iter_blobs, parse_listing
from regen_vcs.git.repo import Repo
from regen_vcs.model.canonical import MAX_BYTES
from regen_vcs.model.key import compute_key
from regen_vcs.model.paths import check_asset_path, sidecar_of
from regen_vcs.model.recipe import Output, Recipe, parse_recipe, recipe_bytes
from regen_vcs.platform.files import read_regular

# What content is: the bytes of an asset, a document, or a document that cannot be read (conflict, damage, newer).
BYTES, DOCUMENT, DAMAGED = "bytes", "document", "damaged"

_BEGINNING = re.compile(rb"\s*(?:\{|<{7}[ \r\n])")
_FORMAT_FIELD = re.compile(rb'"regen"\s*:')
# One git command for one path up to this many, then one for all of them.
_FEW = 8


def classify(data: bytes, path: str) -> tuple[str, Recipe | None]:
    """What content is, and its recipe if it is a document."""
    if not looks_like_document(data):
        return BYTES, None
    try:
        return DOCUMENT, parse_recipe(data, path)
    except InvalidError:
        return DAMAGED, None


def looks_like_document(data: bytes) -> bool:
    """Whether these bytes are, or were, a document: a damaged one must never be taken for a picture's bytes."""
    return (
        len(data) <= MAX_BYTES
        and _BEGINNING.match(data) is not None
        and _FORMAT_FIELD.search(data) is not None
        and b"\0" not in data
    )


def main(cwd: str, environ: Mapping[str, str], stdin, stdout) -> list[str]:
    """Serve git until it closes the pipe; the lines to tell the user."""
    converter = Converter(cwd, environ)
    try:
        serve(stdin, stdout, converter.smudge, converter.clean, converter.note_error)
        converter.fetch_missing()
    finally:
        converter.close()
    return converter.lines()


class Converter:
    """Clean and smudge in one worktree. The workspace is opened when the first asset asks for it."""

    def __init__(self, cwd: str, environ: Mapping[str, str]):
        self._cwd, self._environ = cwd, environ
        self._ws = None
        self._known: KnownDocuments | None = None
        self._missing: list[tuple[str, Recipe]] = []
        self._damaged: list[str] = []
        self._errors: list[str] = []

    # -- clean ---------------------------------------------------------------------------------------------------

    def clean(self, path: str, content: bytes) -> bytes | None:
        """The document of these bytes, which are in a store by then; None: the content as it is.

        RegenError where they cannot be stored: then git must not get a document that names them.
        """
        if not content or not is_possible(path):
            return None  # an empty file is its own document: to git a file of no bytes can stand for no other blob
        kind, _ = classify(content, path)
        if kind != BYTES:
            if kind == DAMAGED:
                self._damaged.append(path)
            return None
        try:
            with self.ws.stores.relying():
                file_hash, size = self.ws.stores.ingest_bytes(content)
                self.ws.lease.add([file_hash])  # until git has its index written, and ends us
            return self.document_of(path, file_hash, size, self.ws.stores.find(file_hash))
        except OSError as error:
            raise RegenError(f"{path}: {error.strerror or error}") from error

    def document_of(self, path: str, file_hash: str, size: int, file_abs: str | None, *, known: bool = True) -> bytes:
        """The document for bytes of that hash at that path. known: take what git has for the path into account."""
        documents = self.known.of(path) if known else []
        recipes = [(each, classify(each, path)[1]) for each in documents]
        for document, recipe in recipes:
            if recipe and recipe.output and recipe.output.hash == file_hash:
                return document
        bases = [(document, recipe) for document, recipe in recipes if recipe]
        if not bases:
            return recipe_bytes(Recipe(output=_source_output(file_hash, size, file_abs)))
        document, base = bases[0]
        take = take_of(self.ws.results, base, path, file_hash)
        if take is None:
            return recipe_bytes(_source_from(base, _source_output(file_hash, size, file_abs)))
        if same_content(base, take):
            return document  # other bytes of the accepted picture: to git nothing has changed
        return recipe_bytes(base.replace(output=take, review=None))

    # -- smudge --------------------------------------------------------------------------------------------------

    def smudge(self, path: str, content: bytes) -> bytes | None:
        """The bytes a document names; None (the content as it is) for raw history, and where they are not here."""
        if not is_possible(path):
            return None
        recipe = classify(content, path)[1]
        if recipe is None:
            return None
        try:
            self.known.add(path, content)
            if recipe.output is None or recipe.output.is_tree or not self._wants(path, recipe):
                return None
            return self.ws.stores.read_bytes(recipe.output.hash)
        except (RegenError, OSError):
            self._missing.append((path, recipe))
        except Exception as error:  # a defect of ours leaves a document, never a failed checkout
            self._errors.append(f"{path}: internal error: {error!r}")
        return None

    def _wants(self, path: str, recipe: Recipe) -> bool:
        """Whether the bytes belong into this worktree; outside the working set the document stays."""
        working_set = self.ws.working_set
        if working_set.is_everything:
            return True
        from regen_vcs.engine.desired import Desired  # what reads sidecars: only where there is a set

        return working_set.wants(Desired(path, None, None, "", True, False, False), recipe)

    def fetch_missing(self) -> None:
        """At the end of git's pipe: what smudge had to leave as documents comes from the remotes, all at once."""
        silent = self._environ.get("REGEN_ACTIVE") or self._environ.get("_PRE_COMMIT_SKIP_POST_CHECKOUT")
        if not self._missing or silent or not self.ws.settings.remotes():
            return
        # Threads and the clients of stores: only where there is something to fetch, and a place to fetch it from.
        from regen_vcs.engine.checkout import bring_in_place, warning_line
        from regen_vcs.engine.filter_loop import index_is_free

        if not index_is_free(self.ws.repo.git_dir):
            return
        report = bring_in_place(self.ws)
        shown = {step.path for step in report.outcome.done}
        self._missing = [each for each in self._missing if each[0] not in shown]
        self._errors += [warning_line(error) for error in (*report.unreachable, *report.outcome.failed.values())]

    # -- what was found ------------------------------------------------------------------------------------------

    def note_error(self, _path: str, error: RegenError) -> None:
        self._errors.append(error.what + (f"; {error.hint}" if error.hint else ""))

    def lines(self) -> list[str]:
        """What to tell the user at the end."""
        lines = list(dict.fromkeys(self._errors))
        if self._damaged:
            names = ", ".join(sorted(set(self._damaged))[:3])
            lines.append(f"{names}: a document that cannot be read (a conflict to resolve?); git got it as it is")
        if self._missing:
            lines.append(self._missing_line())
        return lines

    def _missing_line(self) -> str:
        from regen_vcs.model.quantities import human_duration  # only where something is missing

        missing = dict(self._missing)
        made = [recipe for recipe in missing.values() if recipe.generator is not None]
        parts = []
        if made:
            seconds = [self._seconds_of(recipe) for recipe in made]
            known = [each for each in seconds if each is not None]
            more = "" if len(known) == len(seconds) else " and more"
            price = human_duration(sum(known)) + more if known else "time unknown"
            parts.append(f"{len(made)} to regenerate ({price})")
        if len(made) < len(missing):
            sources = len(missing) - len(made)
            parts.append(f"{sources} not to be had (source {'asset' if sources == 1 else 'assets'}, and in no store here)")
        noun = "in-place asset" if len(missing) == 1 else "in-place assets"
        return f"{len(missing)} {noun} missing: {', '.join(parts)}; run: regen-vcs sync"

    def _seconds_of(self, recipe: Recipe) -> float | None:
        """What making it took before, the median."""
        if self._ws is None or recipe.output is None or recipe.output.key is None:
            return None
        times = [take.get("seconds") for take in self._ws.results.takes(recipe.output.key)]
        times = sorted(each for each in times if isinstance(each, int | float) and not isinstance(each, bool) and each >= 0)
        return times[len(times) // 2] if times else None

    # -- the workspace -------------------------------------------------------------------------------------------

    @property
    def ws(self):
        if self._ws is None:
            # Only now: git's first answer does not wait for these imports.
            from regen_vcs.engine.workspace import Workspace

            self._ws = Workspace.open(self._cwd, self._environ)
            try:
                self._ws.register()
            except RegenError:
                pass  # a store that cannot be written
        return self._ws

    @property
    def known(self) -> KnownDocuments:
        if self._known is None:
            self._known = KnownDocuments(self.ws.repo)
        return self._known

    def close(self) -> None:
        if self._ws is not None:
            self._ws.close()


def is_possible(path: str) -> bool:
    """Whether a path may be an asset's at all: `.gitattributes`, sidecars and the like never are."""
    try:
        check_asset_path(path)
    except InvalidError:
        return False
    return True


# --- documents --------------------------------------------------------------------------------------------------


class KnownDocuments:
    """What git has for a path: in the index, written by this very process, in HEAD; and a sidecar beside it."""

    def __init__(self, repo: Repo):
        self._repo = repo
        self._smudged: dict[str, bytes] = {}
        self._index: dict[str, list[str]] | None = None  # {path: blob ids}; None: asked path by path so far
        self._head: dict[str, list[str]] | None = None
        self._blobs: dict[str, bytes] = {}
        self._asked = 0
        self._index_stat: tuple | None = None

    def add(self, path: str, document: bytes) -> None:
        self._smudged[path] = document

    def of(self, path: str) -> list[bytes]:
        """Blobs and files, the nearest first; not all of them need be documents."""
        self._notice_changes()
        oids = self._index_oids(path)
        found = self._read(oids)
        if path in self._smudged:
            found.append(self._smudged[path])
        if not found:
            found = self._read(self._head_oids(path)) + _read_sidecar(self._repo.root, path)
        return found

    def _notice_changes(self) -> None:
        """A rebase is one process for all of its steps, and each of them writes the index."""
        try:
            st = os.stat(f"{self._repo.git_dir}/index")
        except OSError:
            current = None
        else:
            current = (st.st_size, st.st_mtime_ns, st.st_ino)
        if current != self._index_stat:
            self._index_stat, self._index = current, None
            self._asked = 0
        self._asked += 1

    def _index_oids(self, path: str) -> list[str]:
        if self._index is None and self._asked <= _FEW:
            return _index_oids(self._repo, f":(literal){path}").get(path, [])
        if self._index is None:
            self._index = _index_oids(self._repo, IN_PLACE)
            self._load(each for oids in self._index.values() for each in oids)
        return self._index.get(path, [])

    def _head_oids(self, path: str) -> list[str]:
        if self._head is None and self._asked <= _FEW:
            return _head_oids(self._repo, path).get(path, [])
        if self._head is None:
            self._head = _head_oids(self._repo)
        return self._head.get(path, [])

    def _read(self, oids: list[str]) -> list[bytes]:
        self._load(oids)
        return [self._blobs[oid] for oid in oids if oid in self._blobs]

    def _load(self, oids: Iterable[str]) -> None:
        wanted = [oid for oid in oids if oid not in self._blobs]
        if wanted:
            self._blobs.update(read_documents(self._repo, wanted))


# Entries of the second layout, as a pathspec.
IN_PLACE = ":(attr:filter=regen-inplace)"
# In a conflict ours is the nearest to what is on disk, and the common ancestor the farthest.
_NEARNESS = (0, 2, 3, 1)


def _index_oids(repo: Repo, pathspec: str) -> dict[str, list[str]]:
    listing = repo.git.out("ls-files", "-s", "-t", "-z", "--", pathspec)
    found: dict[str, list[tuple[int, str]]] = {}
    for entry in parse_listing(listing, repo.oid_format):
        found.setdefault(entry.path, []).append((_NEARNESS.index(entry.stage), entry.oid))
    return {path: [oid for _, oid in sorted(stages)] for path, stages in found.items()}


def _head_oids(repo: Repo, *paths: str) -> dict[str, list[str]]:
    """{path: [blob id]} of HEAD; {} while there is none."""
    result = repo.git.result("--literal-pathspecs", "ls-tree", "-r", "-z", "HEAD", "--", *paths)
    found = {}
    for line in result.stdout.split(b"\0")[:-1] if result.status == 0 else ():
        meta, _, path = line.partition(b"\t")
        found[path.decode("utf-8", "surrogateescape")] = [meta.rpartition(b" ")[2].decode()]
    return found


def read_documents(repo: Repo, oids: Iterable[str]) -> dict[str, bytes]:
    """Those of these blobs that are small enough to be documents: raw history may be of any size."""
    request = "".join(f"{oid}\n" for oid in dict.fromkeys(oids)).encode()
    small = []
    for line in repo.git.out("cat-file", "--batch-check", input=request).decode().splitlines() if request else ():
        fields = line.split(" ")
        if len(fields) == 3 and int(fields[2]) <= MAX_BYTES:
            small.append(fields[0])
    return dict(iter_blobs(repo, small))


def _read_sidecar(root: str, path: str) -> list[bytes]:
    """The sidecar of an asset that comes over from the first layout."""
    try:
        data = read_regular(f"{root}/{sidecar_of(path)}", MAX_BYTES + 1)
    except InvalidError:
        return []
    return [] if data is None else [data]


def take_of(results, recipe: Recipe, path: str, file_hash: str) -> Output | None:
    """These bytes as a take of this recipe, if they were once observed to be one."""
    if recipe.generator is None:
        return None
    from regen_vcs.engine.takes import output_of_record

    keys = [recipe.output.key] if recipe.output else []
    if not recipe.inputs:
        keys.append(compute_key(recipe, path, {}))
    for key in keys:
        for record in results.takes(key):
            if record["output_hash"] == file_hash:
                output = output_of_record(record, key)
                if output is not None and output.hash == file_hash and not output.is_tree:
                    return output
    return None


def same_content(recipe: Recipe, take: Output) -> bool:
    """Whether a take decodes to the accepted one's very pixels or samples, made for the same key."""
    accepted = recipe.output
    return bool(accepted and accepted.content and (accepted.content, accepted.key) == (take.content, take.key))


def _source_output(file_hash: str, size: int, file_abs: str | None) -> Output:
    from regen_vcs import media

    return Output(hash=file_hash, key=None, size=size, media=media.probe(file_abs) if file_abs else {})


def _source_from(base: Recipe, output: Output) -> Recipe:
    """Bytes of somebody's own in place of `base`'s: what those were made from stays as a note."""
    meta = base.meta
    if base.generator is not None:
        meta = {**meta, "made_from": {"generator": base.generator, "params": dict(base.params)}}
    return Recipe(output=output, meta=meta, extra=base.extra)


# --- diff ---------------------------------------------------------------------------------------------------------


def text_of(path: str, data: bytes, cwd: str, environ: Mapping[str, str]) -> bytes:
    """What `git diff` shows of an asset's bytes: their document. git hands textconv the file itself, unfiltered."""
    converter = Converter(cwd, environ)
    try:
        root = os.path.realpath(converter.ws.root)
        absolute = os.path.join(os.path.realpath(cwd), path)
        is_ours = absolute.startswith(root + "/")
        inside = os.path.relpath(absolute, root).replace(os.sep, "/") if is_ours else path
        return converter.document_of(inside, blake3(data).hexdigest(), len(data), absolute, known=is_ours)
    finally:
        converter.close()
