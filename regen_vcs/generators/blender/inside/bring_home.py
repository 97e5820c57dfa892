"""Runs inside Blender: makes the open .blend read nothing but the copies that the job brought.

The copies lie below one folder, each at its path in the repository, so a path relative to the .blend is right as it
is. An absolute one (or one to a named root, `@plates/x.exr`) is pointed at the copy whose path it ends with.
"""

from __future__ import annotations

import os

import linked_files
from linked_files import FOLDER, SEQUENCE, STRIP
from talking import Failure

# Libraries link libraries; each pass may bring in more.
_MAX_DEPTH = 100


def bring_home(tree, available, spare):
    """tree: the folder of the copies; available: their paths below it; spare: an empty folder for caches to come.

    Failure names what the file needs and the job does not have.
    """
    copies = _Copies(tree, available)
    for _ in range(_MAX_DEPTH):
        moved = [each for each in linked_files.libraries() if _mend(each, copies, spare)]
        if not moved:
            break
    missing = []
    for each in linked_files.references():
        _mend(each, copies, spare)
        missing += [path for path in each.wanted() if not (copies.holds(path) and os.path.isfile(path))]
    if missing:
        names = ", ".join(sorted({os.path.relpath(path, tree) if copies.holds(path) else path for path in missing})[:5])
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise Failure(f"the .blend needs {names}{more}, which is not among the recipe's inputs",
                      "let them be listed again: regen-vcs regenerate")


def _mend(reference, copies, spare):
    """Point one place at its copy where it names something else; whether it was changed."""
    path = reference.path
    if reference.form == FOLDER:
        if copies.has_folder(path):
            return False
        target = copies.like(path, folder=True) or os.path.join(spare, reference.kind.replace(" ", "-"))
    elif all(copies.holds(each) and os.path.isfile(each) for each in reference.wanted()):
        return False
    else:
        target = _copy_for(reference, copies)
    if target is None or target == path or reference.holder is None:
        return False
    reference.point_to(target)
    return True


def _copy_for(reference, copies):
    if reference.form == STRIP:
        found = copies.like(reference.wanted()[0]) if reference.parts else None
        return found and os.path.dirname(found) + os.sep
    if reference.form == SEQUENCE:
        return copies.like(reference.path, run=True)
    wanted = reference.wanted()
    found = copies.like(wanted[0]) if wanted else None
    if found is None or wanted[0] == reference.path:
        return found
    # Tiles: the folder is the copies', the name keeps its token.
    return os.path.join(os.path.dirname(found), os.path.basename(reference.path))


class _Copies:
    """The job's files, found by the end of a path from anywhere."""

    def __init__(self, tree, available):
        self._tree = os.path.normpath(tree)
        self._names = {}
        for name in available:
            # Of a named root only what follows its name is known elsewhere.
            bare = name.partition("/")[2] if name.startswith("@") else name
            self._names.setdefault(bare, []).append(name)
        self._runs = {}
        for bare, names in self._names.items():
            self._runs.setdefault(linked_files.numberless(bare), []).extend(names[:1])
        self._folders = {}
        for bare, names in self._names.items():
            for name in names:
                while "/" in bare:
                    bare, name = bare.rpartition("/")[0], name.rpartition("/")[0]
                    self._folders.setdefault(bare, {})[name] = None

    def holds(self, path):
        return path.startswith(self._tree + os.sep)

    def has_folder(self, path):
        return self.holds(path) and os.path.relpath(path, self._tree).replace(os.sep, "/") in self._folders

    def like(self, path, *, run=False, folder=False):
        """The copy whose path is the longest end of `path`; None where there is none."""
        known = self._runs if run else self._folders if folder else self._names
        rest = (linked_files.numberless(path) if run else path).replace(os.sep, "/")
        while rest:
            rest = rest.partition("/")[2]
            found = list(known.get(rest, ())) if rest else []
            if len(found) > 1 and not run:
                raise Failure(f"{path} could be {' or '.join(sorted(found))}", "make the path in the .blend relative")
            if found:
                return os.path.join(self._tree, *found[0].split("/"))
        return None
