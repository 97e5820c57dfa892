"""Projects that were moved or whose references broke, and how many of the references lead somewhere again.

Each situation is a copy of one small film to which something has happened; then `doctor --fix` is run, and every input of
every recipe is looked at. Some situations cannot be mended without a guess, and are not: they count all
the same.
"""

from __future__ import annotations

import json
import os
import shutil
import unicodedata
from collections import namedtuple
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from kpi_site import Project, copy_of

from regen_vcs.engine.making import user_look
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError

# references: inputs that are elsewhere by this, or not there; all of them where the whole project is elsewhere. resolved: those that lead to what
# they led to before.
Situation = namedtuple("Situation", ("name", "references", "resolved"))


def _edit(project: Project, asset: str, old: str, new: str) -> None:
    text = project.read(f"{asset}.regen.json").decode()
    spelt = json.dumps(old, ensure_ascii=False)
    assert spelt in text, (asset, old)
    project.write(f"{asset}.regen.json", text.replace(spelt, json.dumps(new, ensure_ascii=False)).encode())


def _move_repository(project: Project, to: str) -> None:
    target = f"{project.machine.work}/{to}"
    os.makedirs(os.path.dirname(target), exist_ok=True)
    os.rename(project.root, target)
    project.root = target


def _clone(project: Project, *argv: str) -> None:
    target = f"{project.machine.work}/clone"
    project.machine.run(["git", "clone", "-q", *argv, f"file://{project.root}", target], project.machine.work)
    project.root = target
    project.regen("init")


def _rename(project: Project, old: str, new: str) -> None:
    os.makedirs(os.path.dirname(f"{project.root}/{new}") or project.root, exist_ok=True)
    os.rename(f"{project.root}/{old}", f"{project.root}/{new}")


def _git_mv(project: Project, old: str, new: str) -> None:
    os.makedirs(os.path.dirname(f"{project.root}/{new}") or project.root, exist_ok=True)
    project.git("mv", old, new)


def _nested(project: Project) -> None:
    """Vendored into a larger project, with the history left behind."""
    outer = Project(project.machine, f"{project.machine.work}/outer")
    for name in project.git("ls-files", "-z").split("\0")[:-1]:
        target = f"{outer.root}/vendor/film/{name}"
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy(f"{project.root}/{name}", target)
    outer.git("init", "-q", "--template=")
    shutil.copy(f"{outer.root}/vendor/film/regen.toml", f"{outer.root}/regen.toml")
    shutil.copytree(f"{outer.root}/vendor/film/tools", f"{outer.root}/tools")
    outer.regen("init")
    outer.git("add", "-A")
    project.root = outer.root


def _another_drive(project: Project) -> None:
    """Absolute Windows paths, as a tool writes them that knows nothing else."""
    for number in range(3):
        _edit(project, f"shots/{number:03}/plate.dat", f"../../plates/plate {number}.txt", f"D:\\projects\\film\\plates\\plate {number}.txt")


def _backslashes(project: Project) -> None:
    for number in range(3):
        _edit(project, f"shots/{number:03}/plate.dat", f"../../plates/plate {number}.txt", f"..\\..\\plates\\plate {number}.txt")


def _absolute(project: Project) -> None:
    _edit(project, "shots/000/plate.dat", "../../plates/plate 0.txt", f"{project.root}/plates/plate 0.txt")


def _absolute_elsewhere(project: Project) -> None:
    _edit(project, "shots/000/plate.dat", "../../plates/plate 0.txt", "/home/ada/film/plates/plate 0.txt")


def _decomposed(project: Project) -> None:
    _rename(project, "plates/plätze.txt", unicodedata.normalize("NFD", "plates/plätze.txt"))


def _decomposed_reference(project: Project) -> None:
    _edit(project, "shots/000/places.dat", "../../plates/plätze.txt", unicodedata.normalize("NFD", "../../plates/plätze.txt"))


def _upper_case(project: Project) -> None:
    for number in range(4):
        _rename(project, f"plates/plate {number}.txt", f"plates/PLATE {number}.TXT")


def _case_of_folder(project: Project) -> None:
    _rename(project, "plates", "x")
    _rename(project, "x", "Plates")


def _twins(project: Project) -> None:
    """The plate is gone, and two others have its bytes under other names: which of them is meant, nobody can say."""
    data = project.read("plates/plate 3.txt")
    os.unlink(f"{project.root}/plates/plate 3.txt")
    project.write("one.txt", data)
    project.write("two.txt", data)


def _replaced(project: Project) -> None:
    """The folder is another one now, and the plate of that name has other bytes."""
    os.unlink(f"{project.root}/plates/plate 2.txt")
    project.write("other/plate 2.txt", b"not that plate\n")


def _renamed_and_committed(project: Project) -> None:
    _git_mv(project, "plates/plate 1.txt", "elevations/front.txt")
    project.commit("moved")


def _edited_after_move(project: Project) -> None:
    _renamed_and_committed(project)
    project.write("elevations/front.txt", b"plate 1, edited\n")
    project.commit("edited")


def _asset_by_hand(project: Project) -> None:
    _git_mv(project, "shots/001/sky.png.regen.json", "skies/dawn.png.regen.json")
    project.regen("sync", check=False)


def _assets_folder_by_hand(project: Project) -> None:
    _git_mv(project, "shots", "part one/shots")
    project.git("commit", "-qm", "moved", "--no-verify")


def _asset_and_its_plate(project: Project) -> None:
    _git_mv(project, "shots/002/plate.dat.regen.json", "deep/er/copy.dat.regen.json")
    _git_mv(project, "plates/plate 2.txt", "deep/plate two.txt")
    project.commit("moved")


def _swapped(project: Project) -> None:
    _rename(project, "plates/plate 0.txt", "plates/x")
    _rename(project, "plates/plate 1.txt", "plates/plate 0.txt")
    _rename(project, "plates/x", "plates/plate 1 was 0.txt")


SITUATIONS: dict[str, Callable[[Project], None]] = {
    "the repository was renamed": lambda p: _move_repository(p, "another film"),
    "the repository was moved, deep, with umlauts and spaces": lambda p: _move_repository(p, "öffentlich/a b/c/film ü"),
    "a clone": _clone,
    "a shallow clone": lambda p: _clone(p, "--depth", "1"),
    "a clone without blobs": lambda p: _clone(p, "--filter=blob:none"),
    "a second worktree": lambda p: (p.git("worktree", "add", "-q", f"{p.machine.work}/second"), setattr(p, "root", f"{p.machine.work}/second")),
    "nested in another repository, without its history": _nested,
    "a folder of plates renamed by hand": lambda p: _rename(p, "plates", "backdrops"),
    "a folder of plates renamed with git mv": lambda p: _git_mv(p, "plates", "backdrops"),
    "a folder of plates moved down": lambda p: _rename(p, "plates", "sources/2026/plates"),
    "a plate renamed by hand": lambda p: _rename(p, "plates/plate 0.txt", "plates/front.txt"),
    "a plate renamed and committed": _renamed_and_committed,
    "a plate renamed, committed and edited": _edited_after_move,
    "a plate renamed, in a shallow clone": lambda p: (_renamed_and_committed(p), _clone(p, "--depth", "1")),
    "a plate moved to the root": lambda p: _rename(p, "plates/plate 0.txt", "plate 0.txt"),
    "plates scattered over folders": lambda p: [_rename(p, f"plates/plate {n}.txt", f"d{n}/p.txt") for n in range(4)],
    "names in upper case": _upper_case,
    "a folder in another case": _case_of_folder,
    "names in decomposed form, as a Mac writes them": _decomposed,
    "references in decomposed form": _decomposed_reference,
    "references in another case": lambda p: _edit(p, "shots/000/plate.dat", "../../plates/plate 0.txt", "../../Plates/Plate 0.txt"),
    "separators of Windows": _backslashes,
    "mixed separators": lambda p: _edit(p, "shots/000/plate.dat", "../../plates/plate 0.txt", "..\\../plates\\plate 0.txt"),
    "a dot in front": lambda p: _edit(p, "shots/000/plate.dat", "../../plates/plate 0.txt", "./../../plates/plate 0.txt"),
    "doubled slashes": lambda p: _edit(p, "shots/000/plate.dat", "../../plates/plate 0.txt", "../..//plates//plate 0.txt"),
    "absolute paths of this machine": _absolute,
    "absolute paths of another machine": _absolute_elsewhere,
    "another drive": _another_drive,
    "an asset moved with its sidecar by git mv": _asset_by_hand,
    "a folder of assets moved by git mv": _assets_folder_by_hand,
    "an asset and its plate moved, and committed": _asset_and_its_plate,
    "an asset moved with regen-vcs mv": lambda p: p.regen("mv", "shots/001/sky.png", "skies/dawn.png"),
    "a reference that leaves the repository": lambda p: _edit(p, "shots/000/plate.dat", "../../plates/plate 0.txt", "../../../../plates/plate 0.txt"),
    "the stores' records are lost": lambda p: (_rename(p, "plates", "backdrops"), shutil.rmtree(f"{p.machine.keep}/v1/results")),
    "two plates changed names": _swapped,
    "a plate gone, and two others with its bytes": _twins,
    "a plate gone, and another one of its name": _replaced,
}


def _references(project: Project) -> dict[tuple[str, str], tuple[str, str]]:
    """{(hash of what a recipe accepts, input's name): (where the input is, hash of its bytes or "")} of every valid recipe."""
    ws = Workspace.open(project.root, project.machine.env)
    try:
        snapshot = user_look(ws)
        snapshot.inputs.preload(list(snapshot.assets.values()))
        found = {}
        for desired in snapshot.assets.values():
            try:
                targets = snapshot.inputs.targets(desired)
            except RegenError:
                continue
            for name, target in targets.items():
                found[desired.facts.out_hash, name] = target, snapshot.inputs.hash_of(target) or ""
        return found
    finally:
        ws.close()


def run_paths(template: Project, folder: str, names: list[str] | None = None) -> list[Situation]:
    """Every situation, two at a time."""
    before = _references(template)

    def one(numbered: tuple[int, str]) -> Situation:
        number, name = numbered
        project = copy_of(template, f"{folder}/{number:02}")
        at = project.root
        SITUATIONS[name](project)
        now = _references(project)
        affected = [key for key, told in before.items() if project.root != at or now.get(key) != told]
        project.regen("doctor", "--fix", check=False)
        after = _references(project)
        # It led to those bytes before; or, where somebody has edited them, to that very file.
        digests = {key: after.get(key, ("", ""))[1] for key in affected}
        lost = [key for key in affected if digests[key] != before[key][1] and not (digests[key] and name.endswith("edited"))]
        shutil.rmtree(project.machine.base)
        return Situation(name, len(affected), len(affected) - len(lost))

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(one, enumerate(names or SITUATIONS)))
