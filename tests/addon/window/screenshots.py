"""Pictures of the addon at work, taken of Debian's Blender on a screen that is not there: `python -m tests.addon.window.screenshots docs/images`.

Needs blender, Xvfb, xdotool and ImageMagick.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.addon.blenders import served_program
from tests.addon.window.film import Film, fill_queue, make_every_state

HERE = Path(__file__).resolve().parent
ADDON = HERE.parents[2] / "blender_addon"
SIZE = (1360, 1380)
SHOTS = ("panel", "takes", "graph", "queue")
# Seconds until a picture must stand: a first drawing takes its time without a graphics card.
PATIENCE = 160


@contextmanager
def screen(size: tuple[int, int]) -> Iterator[str]:
    """A screen in memory; its name."""
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{size[0]}x{size[1]}x24", "+extension", "GLX", "-nolisten", "tcp"],
        pass_fds=[write], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(write)
    try:
        with os.fdopen(read) as pipe:
            yield f":{pipe.readline().strip()}"
    finally:
        server.terminate()
        server.wait(10)


class Window:
    """A Blender on a screen, driven by a script. folder: where the two leave each other words; blend: what it opens; shot: what it shows."""

    def __init__(self, folder: Path, display: str, environ: dict[str, str], script: str, shot: str, blend: Path | None = None, *, size: tuple[int, int]):
        self.folder = folder
        folder.mkdir()
        (folder / "source").mkdir()
        (folder / "source" / "regen_vcs_addon").symlink_to(ADDON)
        self.environ = {
            **environ, "DISPLAY": display, "LIBGL_ALWAYS_SOFTWARE": "1", "REGEN_TEST_SOURCE": str(folder / "source"), "REGEN_SHOT_FOLDER": str(folder),
            "REGEN_SHOT": shot, "REGEN_SHOT_BLEND": str(blend or ""), "BLENDER_USER_SCRIPTS": str(folder / "scripts"), "XDG_CONFIG_HOME": str(folder / "xdg"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        self.log = folder / "log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["blender", "--factory-startup", "-p", "0", "0", *map(str, size), "--python", str(HERE / script)],
                env=self.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def lines(self, word: str) -> list[str]:
        return [line for line in self.log.read_text(errors="replace").splitlines() if line.split(" ")[0] == word]

    def wait_until(self, done, what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not done():
            if time.monotonic() > deadline or self.process.poll() is not None or self.lines("FAILED"):
                raise RuntimeError(f"{what}: did not happen\n{self.log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.3)

    def choose_tab(self) -> None:
        """Click down the sidebar's tabs until our panel is drawn. Nothing where no sidebar is shown, or Blender can choose it by itself."""
        drawn = self.folder / "drawn"
        self.wait_until(lambda: drawn.exists() or self.lines("TABS") or self.lines("READY"), "the sidebar")
        if not self.lines("TABS"):
            return
        x, top, bottom, left = (int(number) for number in self.lines("TABS")[0].split()[1:])
        # In a panel, where Blender has the edge of a sidebar that lies over the view. Not wider is no harm.
        for y in (top + 40, top + 60, top + 30):
            self._widen(left + 7, y)
            if any(int(line.split()[1]) < left - 50 for line in self.lines("EDGE")):
                break
        # A Blender that is behind with drawing takes several clicks for one: then once more, more slowly.
        for pause in (0.5, 1.5, 4):
            self._xdotool("key", "Escape")  # what a drag that went astray began would take every click
            for y in range(top + 30, bottom, 18):
                if drawn.exists():
                    break
                self._xdotool("mousemove", str(x), str(y), "click", "1")
                time.sleep(pause)
        self.wait_until(drawn.exists, "our tab")
        self._xdotool("mousemove", "200", "500")

    def _widen(self, edge: int, y: int, by: int = 150) -> None:
        """Drag the sidebar's edge, as a hand does: Blender wants to see the way."""
        for away in range(24, -1, -4):
            self._xdotool("mousemove", str(edge - away), str(y))
            time.sleep(0.08)
        time.sleep(0.6)
        self._xdotool("mousedown", "1")
        time.sleep(0.4)
        for step in range(5, by + 1, 5):
            self._xdotool("mousemove", str(edge - step), str(y))
            time.sleep(0.08)
        self._xdotool("mouseup", "1")
        time.sleep(0.6)

    def _xdotool(self, *words: str) -> None:
        subprocess.run(["xdotool", *words], env=self.environ, check=True, timeout=20)

    def shoot(self, target: Path) -> None:
        self.wait_until(lambda: self.lines("READY"), "the picture")
        time.sleep(1.5)
        x, y, width, height = (int(number) for number in self.lines("READY")[0].split()[1:])
        subprocess.run(["import", "-window", "root", "-crop", f"{width}x{height}+{x}+{y}", "+repage", str(target)], env=self.environ, check=True, timeout=60)
        (self.folder / "taken").touch()

    def close(self) -> None:
        (self.folder / "quit").touch()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def environment(base: Path) -> dict[str, str]:
    """A home of its own."""
    home = base / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[user]\n\tname = Ada\n\temail = ada@studio.invalid\n[init]\n\tdefaultBranch = main\n")
    served = [str(served_program(base / "bin"))] if sys.platform == "linux" else []
    return {
        "HOME": str(home), "PATH": os.pathsep.join([*served, str(Path(sys.executable).parent), os.environ["PATH"]]), "LANG": "C.UTF-8", "GIT_CONFIG_NOSYSTEM": "1",
        "REGEN_KEEP_DIR": str(base / "keep"), "REGEN_CACHE_DIR": str(base / "cache"), "REGEN_CONFIG_DIR": str(base / "config"), "REGEN_CHECKOUT_BACKGROUND": "false",
    }  # fmt: skip


def save_empty_blend(film: Film, path: Path) -> None:
    film.run("blender", "-b", "--factory-startup", "--python-expr", f"import bpy; bpy.ops.wm.save_as_mainfile(filepath={str(path)!r})")


def take(shots: list[str], target: Path, size: tuple[int, int] = SIZE) -> None:
    """Take these pictures into a folder. size: of the screen; without a graphics card a large one takes its time."""
    with scratch() as base:
        film, workers = None, []
        try:
            for shot in shots:
                if shot == "takes":
                    live_a_day(base / "day", target / "addon-takes.png", size)
                    continue
                film = film or film_with_every_state(base)
                if shot == "queue":
                    fill_queue(film)
                    workers.append(film.start("regen-vcs", "worker", "--jobs", "2"))
                blend = film.root / "film.blend"
                with screen(size) as display, closing(Window(base / shot, display, film.environ, "driver.py", shot, blend, size=size)) as window:
                    window.choose_tab()
                    window.shoot(target / f"addon-{shot}.png")
        finally:
            for worker in workers:
                os.killpg(worker.pid, signal.SIGINT)
                worker.wait(30)


def live_a_day(base: Path, picture: Path, size: tuple[int, int]) -> None:
    """An artist's day in a window, to its end; a picture of the takes that are compared in it."""
    base.mkdir()
    with screen(size) as display, closing(Window(base / "window", display, environment(base), "day.py", "takes", size=size)) as window:
        window.choose_tab()
        window.shoot(picture)
        window.wait_until(lambda: window.lines("DONE"), "the end of the day")


def film_with_every_state(base: Path) -> Film:
    film = Film(base / "rain", environment(base))
    make_every_state(film)
    save_empty_blend(film, film.root / "film.blend")
    return film


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for all of it, which goes in the end."""
    base = Path(tempfile.mkdtemp(prefix="regen-shots-"))
    try:
        yield base
    finally:
        subprocess.run(["chmod", "-R", "u+w", str(base)], check=False)
        shutil.rmtree(base, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("--only", choices=SHOTS, action="append", help="only this one")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    take(given.only or list(SHOTS), given.folder)


if __name__ == "__main__":
    main()
