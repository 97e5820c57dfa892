"""A film of a thousand images and some films, worked on for a day: what it takes to store, and what has to be made again."""

from __future__ import annotations

import os
import random
import shutil
from collections import namedtuple

from kpi_site import FILM, PROJECT, TWICE, Machine, Project, bytes_below, texture, write_recipe

from regen_vcs.engine.definitions import Definitions
from regen_vcs.engine.workspace import Workspace

# Bytes. git: what a clone transfers; rest: all of it with the media evicted; present: all of it with the media there.
Storage = namedtuple("Storage", ("git_ours", "git_media", "rest_ours", "present_ours", "disk_media", "media", "how"))
Day = namedtuple("Day", ("switches", "needed", "made"))
Jobs = namedtuple("Jobs", ("asked", "right"))

_BRANCHES = {"grade": 0.2, "night": 0.2}  # what part of the images each of them changes
# Images of about 250 kB and films of about 8 MB, as compressed as such files are; 2 GB in all.
_SIDE, _OCTAVES, _FRAMES, _PER_SHOT = 384, 3, 24, 50


class Film:
    """`main` and two branches of it, each with its media made and committed; a colleague's branch comes without media."""

    def __init__(self, folder: str, images: int, films: int, seed: int = 7):
        self._draw = random.Random(seed)
        self._folder = folder
        self.machine = Machine(f"{folder}/user")
        self.project = Project.make(self.machine)
        self.images = [f"shots/{number // _PER_SHOT:03}/{number:05}.png" for number in range(images)]
        self.films = [f"films/{number:02}.avi" for number in range(films)]
        self.plain = f"{folder}/plain"
        self._build()

    # -- what there is -------------------------------------------------------------------------------------------

    def _build(self) -> None:
        project = self.project
        project.write("regen.toml", PROJECT.encode())
        project.write("tools/film.py", FILM)
        project.write("tools/twice.py", TWICE)
        project.commit("before")
        project.regen("trust", "--yes")
        self._recipes(project, self.images, 0)
        definition = self._definition("command:film")
        for number, path in enumerate(self.films):
            still = self.images[number * 7 % len(self.images)]
            write_recipe(project, path, "command:film", {"frames": _FRAMES}, {"still": still}, definition=definition)
        self._make(project, "main")
        os.makedirs(self.plain)
        self._plain_git("init", "-q", "--template=")
        self._commit_media("main")
        for number, (branch, part) in enumerate(_BRANCHES.items(), 1):
            project.git("switch", "-qc", branch, "main")
            self._recipes(project, self._draw.sample(self.images, max(1, int(len(self.images) * part))), number * 100_000)
            self._make(project, branch)
            self._plain_git("switch", "-qc", branch, "main")
            self._commit_media(branch)
        project.git("switch", "-q", "main")

    def _recipes(self, project: Project, paths: list[str], offset: int) -> None:
        """One image in ten is made from the one before it."""
        for path in paths:
            number = self.images.index(path) if path in self.images else len(self.images)
            inputs = {"base": self.images[number - 1]} if number % 10 == 9 else {}
            meta = {"agent": "cinematographer", "prompt": f"rain on glass, take {number + offset}", "shot": path.split("/")[1]}
            write_recipe(project, path, "texture", texture(number + offset, _SIDE, octaves=_OCTAVES), inputs, meta=meta)

    def _definition(self, generator: str) -> str | None:
        ws = Workspace.open(self.project.root, self.machine.env)
        try:
            return Definitions(ws, from_disk=True).current(generator)
        finally:
            ws.close()

    def _make(self, project: Project, message: str) -> None:
        project.git("add", "-A")
        project.regen("regenerate", "--jobs", "2")
        project.commit(message)

    def _plain_git(self, *argv: str) -> str:
        return self.machine.run(["git", *argv], self.plain).stdout

    def _commit_media(self, message: str) -> None:
        """The same media as ordinary files in git, as without this tool."""
        for path in self.images + self.films:
            os.makedirs(os.path.dirname(f"{self.plain}/{path}"), exist_ok=True)
            shutil.copyfile(f"{self.project.root}/{path}", f"{self.plain}/{path}")
        self._plain_git("add", "-A")
        self._plain_git("commit", "-qm", message)

    # -- a day ---------------------------------------------------------------------------------------------------

    def work_a_day(self, switches: int = 20) -> Day:
        """To and fro between branches. In the morning a colleague's work is pulled, which was never made here; at noon
        something that cleans caches takes a fifth of ours.

        needed: media that a switch had to bring; made: those of them that had to be made, by the records of runs.
        """
        self._colleague()
        needed = made = 0
        here = "main"
        for number in range(switches):
            there = self._draw.choice([each for each in ("main", "colleague", *_BRANCHES) if each != here])
            if number == switches // 2:
                self._clean_caches(0.2)
            changed = self.project.git("diff", "--name-only", "--diff-filter=d", here, there, "--", "*.regen.json").splitlines()
            before = self._runs()
            self.project.git("switch", "-q", there)
            self.project.regen("sync")
            here, needed, made = there, needed + len(changed), made + self._runs() - before
        self.project.git("switch", "-q", "main")
        self.project.regen("sync")
        return Day(switches, needed, made)

    def _colleague(self) -> None:
        """Somebody else, on another machine with stores of his own, makes a twentieth more, and pushes recipes only."""
        other = Machine(f"{self._folder}/colleague")
        other.run(["git", "clone", "-q", "--template=", self.project.root, f"{other.work}/film"], other.work)
        theirs = Project(other, f"{other.work}/film")
        self.machine.run(["git", "config", "receive.denyCurrentBranch", "ignore"], self.project.root)
        other.env["REGEN_CHECKOUT_MISSING"] = "leave"
        theirs.git("switch", "-qc", "colleague")
        count = max(1, len(self.images) // 20)
        paths = [f"shots/new/{number:03}.png" for number in range(count)]
        self._recipes_of_others(theirs, paths)
        theirs.git("config", "regen.checkoutMissing", "leave")
        theirs.regen("init")
        theirs.git("add", "-A")
        theirs.regen("regenerate", "shots/new", "--jobs", "2")
        theirs.commit("more")
        theirs.git("push", "-q", "--no-verify", "origin", "colleague")
        shutil.rmtree(other.base)

    def _recipes_of_others(self, theirs: Project, paths: list[str]) -> None:
        for number, path in enumerate(paths):
            write_recipe(theirs, path, "texture", texture(900_000 + number, _SIDE, octaves=_OCTAVES), meta={"agent": "a colleague"})

    def _clean_caches(self, part: float) -> None:
        objects = sorted(_objects(self.machine.cache))
        for path in self._draw.sample(objects, int(len(objects) * part)):
            os.unlink(path)
        shutil.rmtree(f"{self.project.root}/.git/regen/spare", ignore_errors=True)

    def _runs(self) -> int:
        """How many runs of generators keep has records of."""
        return sum(len(names) for _, _, names in os.walk(f"{self.machine.keep}/v1/results"))

    # -- everything again ----------------------------------------------------------------------------------------

    def make_everything_again(self) -> Jobs:
        """Every object of every store and every file is gone; how many come back with the accepted bytes."""
        project = self.project
        outputs = {path: digest for path, digest in project.outputs().items() if path in self.images or path in self.films}
        for root in (self.machine.cache, self.machine.keep):
            shutil.rmtree(f"{root}/v1/objects", ignore_errors=True)
        shutil.rmtree(f"{project.root}/.git/regen/spare", ignore_errors=True)
        for path in outputs:
            os.unlink(f"{project.root}/{path}")
        project.regen("regenerate", "--missing", "--jobs", "2", check=False)
        wrong = project.wrong(outputs)
        return Jobs(len(outputs), len(outputs) - len(wrong))

    # -- bytes ---------------------------------------------------------------------------------------------------

    def measure_storage(self) -> Storage:
        """Of all three branches, in git and on the disk; ends with the media evicted."""
        project = self.project
        sizes = []
        for root in (project.root, self.plain):
            self.machine.run(["git", "gc", "-q", "--prune=now"], root)
            bundle = f"{self._folder}/bundle"
            self.machine.run(["git", "bundle", "create", "-q", bundle, *_BRANCHES, "main"], root)
            sizes.append(os.path.getsize(bundle))
            os.unlink(bundle)
        media = sum(os.path.getsize(f"{project.root}/{path}") for path in self.images + self.films)
        present = bytes_below(project.root, self.machine.keep, self.machine.cache)
        how = self._evict()
        rest = bytes_below(project.root, self.machine.keep, self.machine.cache)
        return Storage(sizes[0], sizes[1], rest, present, bytes_below(self.plain), media, how)

    def _evict(self) -> str:
        """Give up all media that can come back, in stores and working tree; in words, how."""
        project = self.project
        for path in self.images + self.films:
            os.unlink(f"{project.root}/{path}")
        shutil.rmtree(f"{project.root}/.git/regen/spare", ignore_errors=True)
        if project.has("verify") and project.has("gc"):
            project.regen("verify", *self.films, check=False)
            project.regen("gc", "--grace", "0", "--budget", "0", check=False)
            for root in (self.machine.keep, self.machine.cache):
                shutil.rmtree(f"{root}/v1/trash", ignore_errors=True)  # as after the grace
            return "verify, gc --budget 0"
        shutil.rmtree(self.machine.cache)
        return "the cache's folder deleted"


def _objects(root: str) -> list[str]:
    return [os.path.join(folder, name) for folder, _, names in os.walk(f"{root}/v1/objects") for name in names]
