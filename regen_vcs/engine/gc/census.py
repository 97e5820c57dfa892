"""Who uses the store: every registered repository at every place, looked at now, or else as it was last seen."""

from __future__ import annotations

import os
from collections import namedtuple
from collections.abc import Callable, Mapping

from regen_vcs.engine.gc.roots import RepositoryRoots, RootSet
from regen_vcs.errors import RegenError
from regen_vcs.git.roots import Document, Unreadable
from regen_vcs.stores.results import Place, Repos

# looked: its RepositoryRoots, None where it could not be read. roots: what counts for it, None where nothing is known at all.
# trouble: why some of that is only as last seen; None where all is of now.
Seen = namedtuple("Seen", ("place", "looked", "roots", "trouble"))


class Census:
    """All repositories that use the store of `repos`.

    visit(place, document): told of every sidecar and document that is read.
    """

    def __init__(self, repos: Repos, environ: Mapping[str, str], visit: Callable[[Place, Document], None] | None = None):
        self._repos, self._environ, self._visit = repos, environ, visit
        self.seen: list[Seen] = []

    def look(self, progress: Callable[[str], None] | None = None) -> None:
        """Read every repository. RegenError where the list of them cannot be read."""
        self.seen = []
        for place in self._repos.places():
            if progress:
                progress(place.path)
            self.seen.append(self._look_at(place))

    def look_again(self) -> bool:
        """Read again what git has changed since; whether there was any. Nothing that was seen before is dropped."""
        changed = False
        for at, seen in enumerate(self.seen):
            if seen.looked is not None and seen.looked.has_changed():
                changed = True
                try:
                    seen.looked.look()
                except (RegenError, OSError) as error:
                    self.seen[at] = seen._replace(trouble=_words(error))
        known = {(each.place.uuid, each.place.tag) for each in self.seen}
        for place in self._repos.places():
            if (place.uuid, place.tag) not in known:  # came to be here meanwhile
                changed = True
                self.seen.append(self._look_at(place))
        return changed

    def look_at_disks_again(self) -> None:
        """Read the working trees once more: what people and programs moved about by hand while git was read."""
        for at, seen in enumerate(self.seen):
            if seen.looked is not None:
                try:
                    seen.looked.look_at_disk()
                except (RegenError, OSError) as error:
                    self.seen[at] = seen._replace(trouble=_words(error))

    def save(self) -> None:
        """Keep the root sets of now, for when a repository cannot be read. RegenError."""
        for seen in self.seen:
            if seen.looked is not None and seen.roots is not None:
                self._repos.save(seen.place.uuid, _roots_name(seen.place), seen.roots.to_bytes())

    # -- what follows from it ------------------------------------------------------------------------------------------

    @property
    def unknown(self) -> list[Seen]:
        """Repositories of which nothing is known at all: while there is one, nothing may be swept."""
        return [each for each in self.seen if each.roots is None]

    @property
    def stale(self) -> list[Seen]:
        """Repositories of which something is known only as it was last seen."""
        return [each for each in self.seen if each.trouble is not None and each.roots is not None]

    @property
    def cut_off(self) -> list[Seen]:
        """Repositories whose history is not all here."""
        return [each for each in self.seen if each.roots is not None and not each.roots.is_whole]

    @property
    def is_sure(self) -> bool:
        """Whether what is not in any root set is really nobody's."""
        return not (self.unknown or self.stale or self.cut_off)

    def _look_at(self, place: Place) -> Seen:
        data = self._repos.load(place.uuid, _roots_name(place)) if place.tag else None
        last = RootSet.from_bytes(data) if data is not None else None
        try:
            looked = self._open(place)
            looked.look()
        except (RegenError, OSError) as error:
            return Seen(place, None, last, _words(error))
        if looked.missing:
            if last is None:
                return Seen(place, looked, None, _missing_words(looked))
            looked.roots.include(last)
            return Seen(place, looked, looked.roots, _missing_words(looked))
        return Seen(place, looked, looked.roots, None)

    def _open(self, place: Place) -> RepositoryRoots:
        if not place.path:
            raise Unreadable("its entry in the store is damaged")
        visit = (lambda document: self._visit(place, document)) if self._visit else None
        looked = RepositoryRoots(place.path, place.root, self._environ, visit)
        uuid = looked.repo.git.result("--git-dir=.", "config", "regen.uuid").stdout.decode("utf-8", "replace").strip()
        if uuid and uuid != place.uuid:
            raise Unreadable(f"{place.path}: another repository is there now")
        return looked


def _missing_words(looked: RepositoryRoots) -> str:
    where = ", ".join(each.root or os.path.basename(each.git_dir) for each in looked.missing)
    return f"worktree {where} is not there (git worktree prune, if it is gone for good)"


def _words(error: Exception) -> str:
    return error.what if isinstance(error, RegenError) else f"{getattr(error, 'strerror', None) or error}"


def _roots_name(place: Place) -> str:
    return f"roots-{place.tag}"
