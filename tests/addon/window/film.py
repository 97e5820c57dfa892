"""A small film project that shows everything: an asset in every state, a graph, a queue at work."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

PAINTER = Path(__file__).resolve().parents[1] / "paint.py"

# Generators as a studio has them; here all are the same.
CONFIG = '''
[generators.paint]
uses = "command"
argv = ["python3", "{code}/paint.py", "{output}", "{params.prompt}", "{params.mood}", "{params.seconds}", "{inputs.plate}"]
code = ["tools/paint.py"]

[generators.paint.params]
prompt = {type = "string", default = ""}
mood = {type = "string", enum = ["calm", "moody", "broken"], default = "calm"}
seconds = {type = "number", default = 0.2, minimum = 0}
'''


class Film:
    """A repository with regen-vcs set up. environ: all that its commands see."""

    def __init__(self, root: Path, environ: dict[str, str]):
        self.root, self.environ = root, environ
        root.mkdir(parents=True)
        self.run("git", "init", "-q")
        (root / "tools").mkdir()
        shutil.copy(PAINTER, root / "tools" / "paint.py")
        self.regen("init")
        with open(root / "regen.toml", "a") as file:
            file.write(CONFIG)
        self.regen("trust", "--yes")
        self.commit("the project")

    def run(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess:
        done = subprocess.run(argv, cwd=self.root, env=self.environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(argv)} → {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def regen(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess:
        return self.run("regen-vcs", *argv, check=check)

    def commit(self, message: str) -> None:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-qm", message)

    def texture(self, path: str, **params: object) -> None:
        given = {"width": 320, "height": 180, **params}
        words = [word for name, value in given.items() for word in ("--param", f"{name}={value}")]
        self.regen("generate", path, "--generator", "texture", *words)

    def paint(self, path: str, plate: str, *more: str, mood: str = "calm", seconds: float = 0.2, prompt: str = "", check: bool = True) -> None:
        self.regen(
            "generate", path, "--generator", "command:paint", "--input", f"plate={plate}", "--param", f"mood={mood}", "--param", f"seconds={seconds}",
            "--param", f"prompt={prompt}", *more, check=check,
        )  # fmt: skip

    def start(self, *argv: str) -> subprocess.Popen:
        """A command that goes on by itself; the caller ends it."""
        return subprocess.Popen(argv, cwd=self.root, env=self.environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def make_every_state(film: Film) -> None:
    """An asset in each state but `queued` and `running`, which need a worker."""
    film.texture("plates/sky.png", kind="fbm", seed=7, scale=4)
    film.texture("plates/rock.png", kind="ridged", seed=3)
    film.texture("plates/tiles.png", kind="bricks", seed=1)
    film.texture("plates/fog.png", kind="turbulence", seed=12)
    film.paint("shots/010/dawn.png", "plates/sky.png", prompt="first light over the ridge, thin mist")
    film.paint("shots/010/cliff.png", "plates/rock.png", prompt="wet rock, a single gull")
    film.paint("shots/010/comp.png", "shots/010/dawn.png", prompt="dawn, graded")
    film.paint("shots/020/alley.png", "plates/tiles.png", prompt="an alley after rain")
    film.paint("shots/020/haze.png", "plates/fog.png", mood="moody", prompt="haze, drifting")
    film.paint("shots/020/title.png", "shots/020/alley.png", prompt="the title on wet bricks")
    film.paint("shots/030/night.png", "plates/sky.png", "--no-run", prompt="night, no moon")
    film.commit("two shots")
    film.regen("set", "shots/020/title.png", "prompt=the title, larger")
    film.regen("regenerate", "shots/020/haze.png", check=False)
    (film.root / "shots/010/cliff.png").write_bytes((film.root / "shots/010/cliff.png").read_bytes() + b"painted over by hand")
    film.paint("shots/030/storm.png", "plates/fog.png", mood="broken", prompt="a storm", check=False)
    film.paint("shots/030/sea.png", "plates/fog.png", "--no-run", prompt="a calm sea")
    film.regen("regenerate", "--queue", "shots/030/sea.png")
    film.regen("worker")
    (film.root / "shots/040").mkdir()
    (film.root / "shots/040/lost.png.regen.json").write_text("{ this is no recipe")
    film.run("git", "add", "shots/040")
    os.unlink(film.root / "shots/020/alley.png")


def fill_queue(film: Film, count: int = 6, seconds: float = 30) -> None:
    """Jobs that take a while; a worker makes them one after another."""
    for number in range(count):
        film.paint(f"shots/050/frame_{number + 1:02d}.png", "plates/sky.png", "--no-run", seconds=seconds + number / 100, prompt=f"variation {number + 1}")
    film.regen("regenerate", "--queue", "shots/050")
