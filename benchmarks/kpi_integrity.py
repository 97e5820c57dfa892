"""Whether parameters are ever corrupted: by processes that are killed while they write, and by input that is not valid."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections import namedtuple

from kpi_site import TOOL, Project, copy_of

from regen_vcs.errors import InvalidError, RegenError
from regen_vcs.model.canonical import canonical_bytes
from regen_vcs.model.recipe import parse_recipe, recipe_bytes

# tried: kills and bad inputs; killed: of those processes that were alive when the signal came. corrupted: what is wrong now.
Integrity = namedtuple("Integrity", ("kills", "killed", "inputs", "corrupted"))

_BAD_ARGUMENTS = (
    ("octaves=99",), ("octaves=1e400",), ("width=-1",), ("width=nan",), ("seed=-5",), ("nothing=1",), ("kind=\ud800",), ("seed=1.5",),
    ("width=99999999999999999999",), ("ramp=[[[[",), ("kind=",),
)
_ODD_BYTES = (b'"', b"{", b"}", b"[", b",", b"\\", b"\0", b"\xff", b"1E400", b"NaN", b"-0.0", b"9007199254740993", b"\xef\xbb\xbf",
              b'"seed":1,', b"\n<<<<<<< ours\n", b"\\ud800", b"[" * 70)


def run_integrity(template: Project, folder: str, kills: int, inputs: int, seed: int = 11) -> Integrity:
    """Kill writers of every kind at random moments, and offer bad input; then read every parameter there is."""
    draw = random.Random(seed)
    project = copy_of(template, f"{folder}/integrity")
    project.regen("init")
    corrupted: list[str] = []
    killed = sum(_strike(project, draw, number, corrupted) for number in range(kills))
    for argument in _BAD_ARGUMENTS:
        _offer(project, argument, corrupted)
    tried = _damage_texts(project, draw, inputs, corrupted)
    return Integrity(kills, killed, tried + len(_BAD_ARGUMENTS), corrupted)


def _strike(project: Project, draw: random.Random, number: int, corrupted: list[str]) -> bool:
    """Kill one writer somewhere in its work; every sidecar is as before, or as that writer meant it."""
    before = {path: parse_recipe(text, path) for path, text in project.sidecars().items()}
    asset, other = "shots/000/sky.png", f"moved/{number}.png"
    argv, after = draw.choice((
        (["set", asset, f"seed={number}", "octaves=3"], {"seed": number, "octaves": 3}),
        (["generate", f"new/{number}.png", "--generator", "texture", "--param", f"seed={number}", "--param", "width=16", "--param", "height=16"], None),
        (["regenerate", "--all", "--jobs", "2"], None),
        (["mv", "shots/001/sky.png", other], None),
        (["restore", "--from-keep"], None),
        (["check", "--fix"], None),
    ))
    child = subprocess.Popen([*TOOL, *argv], cwd=project.root, env=project.machine.env, stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    time.sleep(draw.uniform(0.1, 0.9))
    alive = child.poll() is None
    try:
        os.killpg(child.pid, signal.SIGKILL)  # the whole group: runners too
    except ProcessLookupError:
        pass
    child.wait()
    _compare(project, before, asset, after, f"kill {number}: {argv[0]}", corrupted)
    if os.path.exists(f"{project.root}/{other}.regen.json"):
        project.regen("mv", other, "shots/001/sky.png", check=False)
    project.git("checkout", "-q", "--", ".", check=False)
    project.regen("sync", check=False)
    return alive


def _compare(project: Project, before: dict, asset: str, meant: dict | None, what: str, corrupted: list[str]) -> None:
    """Each recipe is valid, and its parameters are those it had, or all of those that were being set."""
    for path, text in project.sidecars().items():
        try:
            params = parse_recipe(text, path).params
        except InvalidError as error:
            corrupted.append(f"{what}: {error.what}")
            continue
        old = before[path].params if path in before else params
        if params != old and not (path == asset and meant is not None and params == {**old, **meant}):
            corrupted.append(f"{what}: {path} has other parameters")
    lost = before.keys() - project.sidecars().keys() - {"shots/001/sky.png"}
    corrupted += [f"{what}: {path} is gone" for path in lost]


def _offer(project: Project, argument: tuple[str, ...], corrupted: list[str]) -> None:
    before = project.sidecars()
    try:
        done = project.regen("set", "shots/000/sky.png", *argument, check=False)
    except (UnicodeEncodeError, ValueError):
        return  # a word that no command line can hold
    if done.returncode == 0 or "Traceback" in done.stderr or project.sidecars() != before:
        corrupted.append(f"set {argument}: {done.returncode}")


def _damage_texts(project: Project, draw: random.Random, count: int, corrupted: list[str]) -> int:
    """Damaged texts are refused, or read as exactly what a plain JSON reader makes of them, and survive being written."""
    texts = sorted(project.sidecars().values())
    for _ in range(count):
        text = draw.choice(texts)
        at = draw.randrange(len(text))
        damaged = text[:at] + draw.choice((b"", draw.choice(_ODD_BYTES), bytes([draw.randrange(256)]))) + text[at + draw.randrange(3) :]
        try:
            recipe = parse_recipe(damaged, "x.regen.json")
        except InvalidError:
            continue
        except Exception as error:
            corrupted.append(f"{type(error).__name__} for {damaged[max(0, at - 20):at + 20]!r}")
            continue
        try:
            plain = json.loads(damaged).get("params", {})
            if canonical_bytes(plain) != canonical_bytes(recipe.params) or parse_recipe(recipe_bytes(recipe), "x") != recipe:
                corrupted.append(f"changed by reading: {damaged[max(0, at - 20):at + 20]!r}")
        except (RegenError, ValueError) as error:
            corrupted.append(f"{error} for {damaged[max(0, at - 20):at + 20]!r}")
    return count
