"""What can go missing in a film, and whether all of it comes back with the accepted bytes. Each scenario has a name."""

from __future__ import annotations

import os
import shutil
from collections import namedtuple
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from kpi_site import Machine, Project, copy_of

# wrong: assets that did not come back.
Recovery = namedtuple("Recovery", ("name", "wrong"))
SOURCE = "source.png"  # what nothing can make again: where every copy of it is gone, it is not asked for


def _remove(project: Project, paths: Iterable[str]) -> None:
    for path in paths:
        os.unlink(f"{project.root}/{path}")


def _media(project: Project) -> list[str]:
    """Every media file on disk: what git ignores."""
    names = project.git("ls-files", "-z", "--others", "--ignored", "--exclude-standard").split("\0")
    return [name for name in names if name]


def _wipe(project: Project, *stores: str) -> None:
    for root in stores:
        shutil.rmtree(f"{root}/v1", ignore_errors=True)
    shutil.rmtree(f"{project.root}/.git/regen/spare", ignore_errors=True)


def _damage_objects(project: Project) -> None:
    for root in (project.machine.keep, project.machine.cache):
        for folder, _, names in os.walk(f"{root}/v1/objects"):
            for name in names:
                path = os.path.join(folder, name)
                os.chmod(path, 0o644)
                with open(path, "r+b") as file:
                    file.write(b"rot")


def _sidecars(project: Project) -> list[str]:
    return [f"{path}.regen.json" for path in project.sidecars()]


def _nothing_but_an_export(project: Project) -> None:
    """Another machine, an empty repository, one small file."""
    file = f"{project.machine.base}/film.regen-export"
    project.regen("export", file)
    other = Machine(f"{project.machine.base}/other")
    restored = Project.make(other, "restored")
    os.unlink(f"{restored.root}/regen.toml")
    restored.regen("restore", file)
    restored.git("add", "-A")
    restored.regen("trust", "--yes")
    restored.regen("sync", check=False)
    project.root, project.machine = restored.root, other


def _a_clone_on_another_machine(project: Project) -> None:
    other = Machine(f"{project.machine.base}/other")
    other.run(["git", "clone", "-q", project.root, f"{other.work}/film"], other.work)
    project.root, project.machine = f"{other.work}/film", other
    project.regen("init")
    project.regen("trust", "--yes")
    project.regen("sync", check=False)


def _git_is_lost(project: Project) -> None:
    """.git and every sidecar: what is left are the stores, the plates and the scripts."""
    _remove(project, _sidecars(project))
    shutil.rmtree(f"{project.root}/.git")
    project.git("init", "-q", "--template=")
    project.regen("init")
    project.regen("restore")
    project.git("add", "-A")
    project.regen("trust", "--yes")
    project.regen("sync", check=False)


def _sync(project: Project) -> None:
    project.regen("sync", check=False)


def _restore(project: Project) -> None:
    project.regen("restore")
    project.regen("sync", check=False)


def _fsck(project: Project) -> None:
    project.regen("fsck", check=False)
    project.regen("sync", check=False)


def _garbage(project: Project, *names: str) -> None:
    for name in names:
        project.write(name, b"\0garbage\n" * 100)


# name: (what happens, how it is mended, whether the source asset's last copy is gone by that)
SCENARIOS: dict[str, tuple[Callable[[Project], object], Callable[[Project], object], bool]] = {
    "one file deleted": (lambda p: _remove(p, ["shots/000/sky.png"]), _sync, False),
    "every media file deleted": (lambda p: _remove(p, _media(p)), _sync, False),
    "git clean -fdx": (lambda p: p.git("clean", "-qfdx"), _sync, False),
    "a frame of a sequence deleted": (lambda p: _remove(p, ["frames/f.0002.png"]), lambda p: p.regen("fetch", "--force"), False),
    "an emptied file": (lambda p: p.write("shots/001/sky.png", b""), lambda p: p.regen("fetch", "--force"), False),
    "files overwritten with garbage": (lambda p: _garbage(p, *_media(p)), lambda p: p.regen("fetch", "--force"), False),
    "media and cache deleted": (lambda p: (_remove(p, _media(p)), _wipe(p, p.machine.cache)), _sync, False),
    "media, cache and keep deleted": (lambda p: (_remove(p, _media(p)), _wipe(p, p.machine.cache, p.machine.keep)), _sync, True),
    "the stores deleted, media there": (lambda p: _wipe(p, p.machine.cache, p.machine.keep),
                                        lambda p: (p.regen("status"), _remove(p, [m for m in _media(p) if m != SOURCE]), _sync(p)), False),
    "every object damaged, media there": (_damage_objects, lambda p: (_fsck(p), _remove(p, _media(p)), _sync(p)), False),
    "every object damaged, media deleted": (lambda p: (_remove(p, _media(p)), _damage_objects(p)), _fsck, True),
    "the state file lost": (lambda p: shutil.rmtree(f"{p.root}/.git/regen"), lambda p: (_remove(p, _media(p)), _sync(p)), False),
    "the state file garbage": (lambda p: _garbage(p, ".git/regen/state.json", ".git/regen/memo-1", ".git/regen/listing"),
                               lambda p: (_remove(p, _media(p)), _sync(p)), False),
    "the index lost": (lambda p: _remove(p, [".git/index"]), lambda p: (p.git("reset", "-q"), _remove(p, _media(p)), _sync(p)), False),
    "every sidecar deleted": (lambda p: _remove(p, _sidecars(p)), _restore, False),
    "every sidecar and every media file deleted": (lambda p: (_remove(p, _media(p)), _remove(p, _sidecars(p))), _restore, False),
    "every sidecar deleted and the index lost": (lambda p: (_remove(p, _sidecars(p)), _remove(p, [".git/index"])), _restore, False),
    "sidecars overwritten with garbage": (lambda p: _garbage(p, *_sidecars(p)),
                                          lambda p: (p.git("checkout", "-q", "--", "."), _sync(p)), False),
    "sidecars removed in a commit": (lambda p: (p.git("rm", "-qr", "shots"), p.commit("gone")),
                                     lambda p: (p.regen("restore", "shots"), _sync(p)), False),
    "reset to before the film and back": (lambda p: (p.git("reset", "-q", "--hard", "HEAD~1"), p.git("reset", "-q", "--hard", "HEAD@{1}")),
                                          _sync, False),
    "the working tree deleted": (lambda p: [shutil.rmtree(f"{p.root}/{n}") for n in ("shots", "frames", "plates", "tools")],
                                 lambda p: (p.git("checkout", "-q", "--", "."), _sync(p)), False),
    "hooks deleted": (lambda p: shutil.rmtree(f"{p.root}/.git/hooks"),
                      lambda p: (p.regen("doctor", "--fix", check=False), _remove(p, _media(p)), _sync(p)), False),
    "the cache on another disk": (lambda p: (os.rename(p.machine.cache, f"{p.machine.base}/disk"), _remove(p, _media(p))),
                                  lambda p: (p.regen("doctor", "--fix", "--look-in", f"{p.machine.base}/disk", check=False), _sync(p)), False),
    "keep on another disk": (lambda p: (os.rename(p.machine.keep, f"{p.machine.base}/disk"), _remove(p, _media(p)), _wipe(p, p.machine.cache)),
                             lambda p: (p.regen("doctor", "--fix", "--look-in", f"{p.machine.base}/disk", check=False), _sync(p)), False),
    "a plate that media are made from moved, and the media and stores lost": (
        lambda p: (os.rename(f"{p.root}/plates", f"{p.root}/backdrops"), p.commit("moved"), _remove(p, _media(p)), _wipe(p, p.machine.cache, p.machine.keep)),
        lambda p: (p.regen("doctor", "--fix", check=False), p.git("add", "-A"), _sync(p)), True),
    "a clone on a machine without any media": (lambda p: None, _a_clone_on_another_machine, True),
    "an export, on a machine without anything else": (lambda p: None, _nothing_but_an_export, True),
    "git and every sidecar lost": (lambda p: None, _git_is_lost, True),
}


def run_recovery(template: Project, folder: str, names: list[str] | None = None) -> list[Recovery]:
    """Every scenario, two at a time."""
    outputs = {path: digest for path, digest in template.outputs().items() if "#" not in path}

    def one(numbered: tuple[int, str]) -> Recovery:
        number, name = numbered
        happens, mends, is_last = SCENARIOS[name]
        project = copy_of(template, f"{folder}/{number:02}")
        base = project.machine.base
        project.regen("init")  # as on the machine that the copy now is
        frames = {path: project.read(path) for path in _media(project) if path.startswith("frames/")}
        happens(project)
        mends(project)
        wanted = {path: digest for path, digest in outputs.items() if not (is_last and path == SOURCE)}
        wrong = project.wrong(wanted)
        wrong += [path for path, data in frames.items() if not os.path.exists(f"{project.root}/{path}") or project.read(path) != data]
        shutil.rmtree(base)
        return Recovery(name, wrong)

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(one, enumerate(names or SCENARIOS)))
