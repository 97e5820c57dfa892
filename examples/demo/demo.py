"""`make demo`: the real thing, in a temporary repository, saying what it shows as it goes.

Needs only the Python that regen-vcs is installed in, and git. Leaves nothing behind. Exits with 1 if anything is
not as it says.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BOLD, DIM, GREEN, RESET = ("\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[0m") if sys.stdout.isatty() else ("",) * 4
REGEN = [sys.executable, "-I", "-m", "regen_vcs"]


class Demo:
    def __init__(self, base: Path):
        self.base = base
        self.film = base / "Mein Fïlm"
        self.keep, self.cache = base / "keep", base / "cache"
        self.env = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "HOME": str(base / "home"),
            "LANG": "C.UTF-8",
            "GIT_CONFIG_GLOBAL": str(base / "home" / ".gitconfig"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "REGEN_KEEP_DIR": str(self.keep),
            "REGEN_CACHE_DIR": str(self.cache),
            "REGEN_CONFIG_DIR": str(base / "config"),
            # A worker in the background would outlive this folder, and do what is shown here step by step.
            "REGEN_CHECKOUT_BACKGROUND": "false",
        }
        (base / "home").mkdir()
        (base / "home" / ".gitconfig").write_text(
            "[user]\n\tname = Demo\n\temail = demo@example.invalid\n[init]\n\tdefaultBranch = main\n[advice]\n\tdetachedHead = false\n"
        )

    def scene(self, text: str) -> None:
        print(f"\n{BOLD}{text}{RESET}")

    def run(self, *argv: str, cwd: Path | None = None, show: bool = True, fails: bool = False) -> str:
        """Run a command as a user types it; its output."""
        typed = " ".join(f'"{word}"' if " " in word else word for word in argv)
        if show:
            print(f"{DIM}$ {typed}{RESET}", flush=True)
        words = [*REGEN, *argv[1:]] if argv[0] == "regen-vcs" else list(argv)
        done = subprocess.run(
            words, cwd=cwd or self.film, env=self.env, text=True, encoding="utf-8", capture_output=True,
            stdin=subprocess.DEVNULL, timeout=300, check=False,
        )
        if show:
            for line in (done.stdout + done.stderr).splitlines():
                print(f"  {line}", flush=True)
        if (done.returncode != 0) != fails:
            raise SystemExit(f"the demo stopped: {typed} ended with {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def check(self, what: str, holds: bool) -> None:
        if not holds:
            raise SystemExit(f"the demo stopped: this does not hold: {what}")
        print(f"  {GREEN}✓{RESET} {what}")

    def digests(self, root: Path | None = None) -> dict[str, str]:
        root = root or self.film
        return {
            str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(root.rglob("*")) if path.suffix in (".png", ".wav")
        }

    def state(self, cwd: Path | None = None) -> dict[str, int]:
        return json.loads(self.run("regen-vcs", "status", "--json", cwd=cwd, show=False))["summary"]


def play(demo: Demo) -> None:
    demo.scene("1. A repository for a film, set up once")
    demo.film.mkdir()
    demo.run("git", "init", "-q")
    demo.run("regen-vcs", "init")

    demo.scene("2. Three assets: a texture, a displacement map made from it by a script, and a temp sound")
    demo.run("regen-vcs", "generate", "shots/010/sky.png", "--generator", "texture", "--param", "kind=fbm",
             "--param", "width=512", "--param", "height=512", "--param", "depth=8", "--param", "seed=42")
    demo.run("regen-vcs", "generate", "shots/010/wind.wav", "--generator", "tone", "--param", "kind=pink",
             "--param", "duration=2", "--param", "seed=7")
    (demo.film / "tools").mkdir()
    (demo.film / "tools" / "invert.py").write_text(
        "import sys\nfrom PIL import Image, ImageOps\n"
        "ImageOps.invert(Image.open(sys.argv[1]).convert('L')).save(sys.argv[2])\n"
    )
    project = demo.film / "regen.toml"
    project.write_text(project.read_text() + (
        "\n[generators.invert]\nuses = \"command\"\n"
        f"argv = [{json.dumps(sys.executable)}, \"{{code}}/invert.py\", \"{{inputs.image}}\", \"{{output}}\"]\n"
        "code = [\"tools/invert.py\"]\n"
    ))
    demo.run("git", "add", "-A")
    demo.run("regen-vcs", "trust", "--yes")
    demo.run("regen-vcs", "generate", "shots/010/bump.png", "--generator", "command:invert",
             "--input", "image=shots/010/sky.png")

    demo.scene("3. git keeps the recipes, never the media")
    demo.run("git", "add", "-A")
    demo.run("git", "commit", "-qm", "Sky, wind and bump")
    tracked = demo.run("git", "ls-files")
    demo.check("git tracks three sidecars and not one picture or sound",
               tracked.count(".regen.json") == 3 and ".png\n" not in tracked and ".wav\n" not in tracked)
    first = demo.digests()

    demo.scene("4. Another look on a branch; the media follow every switch")
    demo.run("git", "switch", "-qc", "stormy")
    demo.run("regen-vcs", "set", "shots/010/sky.png", "seed=1234", "octaves=8")
    demo.run("regen-vcs", "status")
    demo.run("regen-vcs", "regenerate", "--stale", "--with-dependents")
    demo.run("git", "commit", "-qam", "A stormier sky")
    second = demo.digests()
    demo.check("sky and the bump made from it changed, the wind did not",
               {path for path in first if first[path] != second[path]} == {"shots/010/sky.png", "shots/010/bump.png"})
    started = time.perf_counter()
    demo.run("git", "switch", "-q", "main")
    demo.check("main's media are back", demo.digests() == first)
    demo.run("git", "switch", "-q", "stormy")
    demo.check(f"and stormy's again: two switches in {time.perf_counter() - started:.2f} s", demo.digests() == second)
    demo.check("git status is clean", demo.run("git", "status", "--porcelain", show=False) == "")

    demo.scene("5. The whole cache and every file are lost; the recipes make them again, identical")
    demo.run("git", "switch", "-q", "main")
    shutil.rmtree(demo.cache)
    shutil.rmtree(demo.keep)
    shutil.rmtree(demo.film / ".git" / "regen" / "spare", ignore_errors=True)
    for path in first:
        (demo.film / path).unlink()
    demo.run("regen-vcs", "status")
    demo.run("regen-vcs", "sync")
    demo.check("every byte is what it was", demo.digests() == first)

    demo.scene("6. A clone elsewhere: one command and they are there")
    clone = demo.base / "somewhere else"
    demo.run("git", "clone", "-q", str(demo.film), str(clone))
    demo.check("a clone brings the recipes only", demo.digests(clone) == {})
    demo.run("regen-vcs", "init", cwd=clone)
    demo.check("the same media, byte for byte", demo.digests(clone) == first)

    demo.scene("7. An edit by hand is never lost")
    (demo.film / "shots/010/sky.png").write_bytes(b"painted over by hand")
    demo.run("regen-vcs", "status")
    print("  (stormy's takes were in the cache we wiped: the switch says what it would cost to make them)")
    demo.run("git", "switch", "-q", "stormy")
    demo.check("the painting is still there: nothing better could be had",
               (demo.film / "shots/010/sky.png").read_bytes() == b"painted over by hand")
    demo.run("regen-vcs", "sync")
    demo.check("now stormy's sky and bump are back, byte for byte", demo.digests() == second)
    demo.run("regen-vcs", "rescued")
    demo.check("and the painting is in the rescued", "sky.png" in demo.run("regen-vcs", "rescued", show=False))
    demo.check("everything is as its recipe says", set(demo.state()) == {"ok"})


def main() -> None:
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="regen demo ") as base:
        play(Demo(Path(base)))
    print(f"\n{BOLD}Done in {time.perf_counter() - started:.0f} s.{RESET} Nothing was left behind.")


if __name__ == "__main__":
    main()
