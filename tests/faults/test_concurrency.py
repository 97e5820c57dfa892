"""Several at once: a second switch while the first one's hook works, two worktrees, six syncs, two makers of one key."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time

import pytest

from regen_vcs.engine.sync import BY_HAND, FILTER, HOOK, WorktreeLock, sync
from tests.faults.wreck import QUIET, Film, frame_bytes, hash_of, start, wait_until

COMMANDS = """\
[generators.slow]
uses = "command"
argv = ["python3", "{code}/slow.py", "{inputs.text}", "{output}", "{params.log}", "{params.seconds}"]
code = ["tools/slow.py"]
[generators.slow.params.log]
type = "string"
[generators.slow.params.seconds]
type = "number"
"""
# It says when it begins, on a file outside, sleeps, and makes its output of what its input was.
SLOW = """\
import os, sys, time
text, output, log, seconds = sys.argv[1:]
with open(log, "a") as file:
    file.write(f"{os.getpid()}\\n")
time.sleep(float(seconds))
with open(output, "wb") as file:
    file.write(b"made of " + open(text, "rb").read())
"""


class Workshop:
    """A project with a command generator that takes its time."""

    def __init__(self, home):
        self.project = home.repo()
        self.root, self.env = self.project.root, self.project.env
        self.log = home.base / "log"
        self.project.write("regen.toml", COMMANDS.encode())
        self.project.write("tools/slow.py", SLOW.encode())
        self.project.write("text.txt", b"one\n")
        self.project.commit("a slow tool")
        self.project.regen("trust", "--yes")

    def recipe(self, name: str, seconds: float, *, source: str = "text.txt") -> None:
        self.project.regen(
            "generate", name, "--generator", "command:slow", "--input", f"text={source}",
            "--param", f"log={self.log}", "--param", f"seconds={seconds}", "--no-run",
        )

    def runs(self) -> int:
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0

    def started(self, count: int = 1) -> bool:
        return wait_until(lambda: self.runs() >= count, 20)


@pytest.fixture
def workshop(home):
    return Workshop(home)


# -- the lock of a worktree --------------------------------------------------------------------------------------------


def hold(film, seconds: float) -> tuple[subprocess.Popen, float]:
    """Another process that holds the worktree's lock, as a long `sync` would; and when it took it."""
    code = (
        "import sys, time, fcntl\nfile = open(sys.argv[1], 'w')\nfcntl.flock(file, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\ntime.sleep(float(sys.argv[2]))\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(film.git_state / "lock"), str(seconds)], stdout=subprocess.PIPE
    )
    assert holder.stdout.readline() == b"held\n"
    return holder, time.monotonic()


def test_hooks_leave_after_two_seconds_and_verbs_wait(home):
    film = Film(home, count=8)
    holder, began = hold(film, 10)
    done = film.project.git("switch", "-q", "one")
    took = time.monotonic() - began
    assert 1.9 < took < 9.5
    assert "another regen-vcs is at work in this worktree and will do this too" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    film.branch = "one"
    done = film.project.regen("sync")
    assert time.monotonic() - began > 9.9
    assert "waiting" in done.stderr
    holder.wait()
    film.assert_synced()


@pytest.mark.parametrize(("trigger", "newcomer"), [(BY_HAND, HOOK), (HOOK, FILTER), (FILTER, HOOK)], ids=["by hand", "hook", "filter"])
def test_the_holder_does_what_newcomers_left_to_him(home, trigger, newcomer):
    """A sync finds, at its end, that somebody announced himself meanwhile; it looks at everything again."""
    film = Film(home, count=8)
    film.wipe()
    ws = film.open()
    moved = []

    def progress(*_):
        if not moved:
            moved.append(film.branch)
            film.switch_quietly(film.other())
            WorktreeLock(ws).announce(newcomer)

    only = set(list(film.versions)[1:3])  # a filter's notes: the newcomer's are others
    sync(ws, trigger, paths=only if trigger is FILTER else None, progress=progress)
    ws.close()
    assert moved
    film.assert_synced()


def test_what_newcomers_leave_to_other_verbs_is_done_too(home):
    film = Film(home, count=8)
    ws = film.open()
    with WorktreeLock(ws):
        ws.reload_state()
        film.switch_quietly("one")
        WorktreeLock(ws).announce(HOOK)
    ws.close()
    film.assert_synced()


# -- git and git ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trigger", ["hooks", "filter"])
def test_a_second_switch_while_the_first_ones_assets_still_come(home, trigger):
    """Switches as quick as git allows, some at the same time; in the end the last one counts."""
    film = Film(home, count=48, size=40_000, trigger=trigger)
    for number in range(6):
        # Never the branch we are on: nobody could see that such a switch has done its part.
        targets = ("two", "one", "two") if number % 2 else ("one", "two", "one")
        switches = []
        for branch in targets:
            switches.append(start_git(film, "switch", "-q", branch))
            # The index is written and its lock gone: a second git may work, while the first one's hook still does.
            wait_until(lambda: film.project.git("symbolic-ref", "--short", "HEAD").stdout.strip() == branch, 5)  # noqa: B023
        for each in switches:
            each.communicate()
        film.branch = film.project.git("symbolic-ref", "--short", "HEAD").stdout.strip()
        film.assert_whole()
        if trigger == "filter":
            film.sync()  # removals wait for the next sync
        film.assert_synced()


def start_git(film, *argv: str) -> subprocess.Popen:
    return subprocess.Popen(
        ["git", *argv], cwd=film.root, env=film.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def test_a_switch_while_the_hook_regenerates(workshop):
    """The first switch's hook makes a missing asset for seconds; the second switch takes its recipe away."""
    project = workshop.project
    project.git("switch", "-qc", "plain")
    project.git("switch", "-qc", "made")
    workshop.recipe("made.dat", 4)
    project.regen("regenerate", "made.dat")
    project.commit("made")
    accepted = project.path("made.dat").read_bytes()
    project.git("switch", "-q", "plain")
    assert not project.path("made.dat").exists()
    forget_bytes(workshop, accepted)
    before = workshop.runs()
    project.git(*QUIET, "switch", "-q", "made")
    first = start(workshop, ["hook", "post-checkout", "a", "b", "1"])  # git itself has done its part
    assert workshop.started(before + 1), first.communicate()
    second = project.git("switch", "-q", "plain")
    assert first.poll() is None and "another regen-vcs" not in second.stderr, "the second switch waits for nobody"
    first.communicate()
    assert first.returncode == 0
    assert not project.path("made.dat").exists(), "its recipe is not on this branch"
    before = workshop.runs()
    project.git("switch", "-q", "made")
    assert project.path("made.dat").read_bytes() == accepted
    assert workshop.runs() == before, "the take was filed, and is used"


def forget_bytes(workshop, data: bytes) -> None:
    """These bytes are nowhere but in people's memory."""
    for store in (workshop.project.user.keep, workshop.project.user.cache):
        path = store / "v1" / "objects" / hash_of(data)[:2] / hash_of(data)[2:]
        path.unlink(missing_ok=True)
    for spare in (workshop.root / ".git" / "regen" / "spare").glob(hash_of(data) + "*"):
        spare.unlink()


# -- many processes ------------------------------------------------------------------------------------------------------


def run_all(children: list[subprocess.Popen]) -> None:
    for child in children:
        stderr = child.communicate()[1].decode()
        assert child.returncode == 0, stderr
        assert "Traceback" not in stderr and "error" not in stderr


def test_six_syncs_at_once(home):
    film = Film(home)
    for _ in range(2):
        film.switch_quietly(film.other())
        film.wipe()
        run_all([start(film, ["sync"]) for _ in range(6)])
        film.assert_synced()
    film.assert_sound()


def test_every_kind_at_once(home):
    """Syncs, hooks, looks, an `add` and an `fsck`, all in one worktree."""
    film = Film(home, count=24)
    film.switch_quietly(film.other())
    film.project.write("late.png", frame_bytes("late.png", 1))
    words = ["sync"], ["status"], ["hook", "post-checkout", "a", "b", "1"], ["add", "late.png"], ["fsck"], ["sync"], ["status", "--json"]
    run_all([start(film, list(each)) for each in words])
    assert film.project.git("status", "--porcelain").stdout == "?? late.png.regen.json\n"
    film.project.commit("late")
    film.assert_synced()
    film.assert_sound()


def test_two_worktrees_on_one_store(home):
    film = Film(home, count=24)
    other = home.work / "other tree"
    film.project.git("worktree", "add", "-q", "--detach", str(other), "one")
    for _ in range(3):
        film.wipe()
        for name in film.versions:
            (other / name).unlink(missing_ok=True)
        children = [start(film, ["sync"]) for _ in range(2)]
        children += [
            subprocess.Popen(
                [sys.executable, "-I", "-m", "regen_vcs", "sync"], cwd=other, env=film.env, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            )
            for _ in range(2)
        ]
        run_all(children)
        film.assert_synced()
        for name, versions in film.versions.items():
            assert (other / name).exists() == ("one" in versions)
            assert "one" not in versions or (other / name).read_bytes() == versions["one"]
        assert film.project.git("status", "--porcelain", cwd=other).stdout == ""
    film.assert_sound()


def test_one_key_is_made_once(workshop):
    """Two commands want the same key at the same time: the second waits, and takes what the first made."""
    workshop.recipe("made.dat", 1.5)
    children = [start(workshop, ["regenerate", "made.dat"]) for _ in range(2)]
    run_all(children)
    assert workshop.runs() == 1
    assert workshop.project.path("made.dat").read_bytes() == b"made of one\n"
    assert workshop.project.status() == {"made.dat": "ok"}


# -- what changes while a generator runs -----------------------------------------------------------------------------------


def records(workshop) -> dict[bytes, set[str]]:
    """{bytes of a take: the keys it is filed under}, of everything on record."""
    from regen_vcs.engine.workspace import Workspace

    ws = Workspace.open(str(workshop.root), workshop.env)
    found: dict[bytes, set[str]] = {}
    for key in ws.results.keys():  # noqa: SIM118
        for take in ws.results.takes(key):
            found.setdefault(ws.stores.read_bytes(take["output_hash"]), set()).add(key)
    ws.close()
    return found


def key_of(workshop, name: str) -> str:
    return {each["path"]: each["key"] for each in json.loads(workshop.project.regen("status", "--json").stdout)["assets"]}[name]


@pytest.mark.parametrize("what", ["input edited", "sidecar edited", "sidecar gone", "switched away", "input asset drifted"])
def test_a_take_is_filed_under_the_key_of_the_bytes_really_used(workshop, what):
    project = workshop.project
    source = "text.txt"
    if what == "input asset drifted":
        project.write("plate.txt", b"one\n")
        project.regen("add", "plate.txt")
        source = "plate.txt"
    workshop.recipe("made.dat", 1.2, source=source)
    project.commit("a recipe")
    key = key_of(workshop, "made.dat")
    child = start(workshop, ["regenerate", "made.dat"])
    assert workshop.started()
    sidecar = project.path("made.dat.regen.json")
    if what == "input edited":
        project.write("text.txt", b"two\n")
    elif what == "sidecar edited":
        sidecar.write_text(sidecar.read_text().replace('"seconds": 1.2', '"seconds": 0.5'))
    elif what == "sidecar gone":
        project.git("rm", "-q", "made.dat.regen.json")
    elif what == "switched away":
        project.git("switch", "-q", "--detach", "HEAD~1")
    else:
        project.write("plate.txt", b"drifted\n")
    stderr = child.communicate()[1].decode()
    assert child.returncode == 0, stderr
    assert records(workshop) == {b"made of one\n": {key}}
    if what == "input asset drifted":  # an asset counts by its accepted bytes, which have not changed
        assert project.path("made.dat").read_bytes() == b"made of one\n"
        assert project.path("plate.txt").read_bytes() == b"drifted\n"
        return
    assert not project.path("made.dat").exists(), "it is not what the recipe asks for now"
    if sidecar.exists():
        assert '"output"' not in sidecar.read_text()
        project.regen("regenerate", "made.dat")
        expected = b"made of two\n" if what == "input edited" else b"made of one\n"
        assert project.path("made.dat").read_bytes() == expected
        assert workshop.runs() == 2
        keys = {each for each in set().union(*records(workshop).values()) if each != key}
        assert len(keys) == 1 and json.loads(sidecar.read_text())["output"]["key"] in keys


def test_an_order_is_what_its_key_says_even_if_the_sidecar_changes_just_then(workshop):
    """Between the look at the worktree and the start of a run the sidecar is another: the run and its key agree."""
    from regen_vcs.engine.making import make_assets
    from regen_vcs.engine.workspace import Workspace

    project = workshop.project
    workshop.recipe("first.dat", 0.2)
    workshop.recipe("second.dat", 0.1)
    sidecar = project.path("second.dat.regen.json")
    ws = Workspace.open(str(workshop.root), workshop.env)
    made = {}
    for each in make_assets(ws, ["first.dat", "second.dat"], by_user=True, workers=1):
        made[each.path] = each
        if each.path == "first.dat":
            text = sidecar.read_text()
            assert '"seconds": 0.1' in text
            sidecar.write_text(text.replace('"seconds": 0.1', '"seconds": 0.15'))
    ws.close()
    ws = Workspace.open(str(workshop.root), workshop.env)
    from regen_vcs.model.key import compute_key
    from regen_vcs.model.recipe import parse_recipe

    for key in ws.results.keys():  # noqa: SIM118
        recipe = parse_recipe(ws.results.recipe(key), "kept")
        path = "first.dat" if recipe.params["seconds"] == 0.2 else "second.dat"
        assert compute_key(recipe, path, {"text": hash_of(b"one\n")}) == key
    ws.close()


def test_two_threads_of_hooks_and_a_user_who_edits(home):
    """An edit made while hooks come and go is never lost: it is on disk, or rescued."""
    film = Film(home, count=16)
    names = [name for name, versions in film.versions.items() if len(versions) == 2]
    edits: dict[str, list[bytes]] = {name: [] for name in names}
    stop = threading.Event()

    def edit() -> None:
        number = 0
        while not stop.is_set():
            name = names[number % len(names)]
            data = frame_bytes(f"edit {number}", 7, 3000)
            temp = film.root / ".git" / "edit"
            temp.write_bytes(data)
            if (film.root / name).exists():
                temp.replace(film.root / name)
                edits[name].append(data)
            number += 1
            time.sleep(0.02)

    thread = threading.Thread(target=edit)
    thread.start()
    try:
        for number in range(8):
            film.project.git("switch", "-q", "one" if number % 2 else "two", check=False)
    finally:
        stop.set()
        thread.join()
    ws = film.open()
    rescued = {each["hash"] for each in ws.rescued.entries(ws.uuid)}
    ws.close()
    lost = []
    for name, versions in edits.items():
        # Only the last edit before a replacement counts: the user himself wrote over the others.
        on_disk = (film.root / name).read_bytes() if (film.root / name).exists() else b""
        if versions and on_disk != versions[-1] and hash_of(versions[-1]) not in rescued:
            lost.append(name)
    assert lost == []
