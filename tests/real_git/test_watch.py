"""`watch`: one sync for a burst of changes on disk, none for what syncs write themselves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from regen_vcs.engine.changes import EVERYTHING, QUIET, Changes
from regen_vcs.engine.watch import watch
from regen_vcs.errors import Interrupted
from tests.real_git.farm import PYTHON

NO_HOOKS = ("-c", "core.hooksPath=/dev/null")


def _has(happened) -> bool:
    """An asset that gives way to another version is gone for a moment."""
    try:
        return bool(happened())
    except FileNotFoundError:
        return False


class Watch:
    """`regen-vcs watch` as a child, and what it says."""

    def __init__(self, project, *options: str, before: tuple[str, ...] = ()):
        self.project = project
        self.lines: list[str] = []
        self.proc = subprocess.Popen(
            [*before, PYTHON, "-I", "-u", "-m", "regen_vcs", "watch", *options], cwd=project.root, env=project.env, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Watch:
        self.wait_for(lambda: any(line.startswith("watching ") for line in self.lines))
        # The first sync comes after the eyes are open, and writes the state.
        state = self.project.root / ".git/regen/state.json"
        self.wait_for(lambda: state.exists())
        time.sleep(1.0)
        return self

    def __exit__(self, *_: object) -> None:
        if self.proc.poll() is None:
            self.proc.kill()
        self.proc.wait(10)
        self._reader.join(5)
        self.proc.stdout.close()

    def _read(self) -> None:
        for line in self.proc.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait_for(self, happened, seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while not _has(happened):
            assert self.proc.poll() is None, self.lines
            assert time.monotonic() < deadline, self.lines
            time.sleep(0.05)

    @property
    def brought(self) -> list[str]:
        return [line for line in self.lines if line.startswith(tuple("0123456789"))]

    def end(self, number: int = signal.SIGINT) -> int:
        self.proc.send_signal(number)
        code = self.proc.wait(15)
        self._reader.join(5)
        return code


def make_sources(project, count: int, version: int = 1) -> None:
    for n in range(count):
        project.write(f"media/{n:04}.bin", b"%d of version %d\n" % (n, version))
    project.regen("add", "media")
    project.commit(f"version {version}")


@pytest.fixture
def two(project):
    """Branches `main` (version 1) and `second` (version 2) of three assets."""
    make_sources(project, 3)
    project.git("switch", "-qc", "second")
    make_sources(project, 3, 2)
    project.git("switch", "-q", "main")
    return project


def test_a_switch_by_a_program_without_hooks(two):
    with Watch(two) as watch:
        two.git(*NO_HOOKS, "switch", "-q", "second")
        watch.wait_for(lambda: two.path("media/0002.bin").read_bytes() == b"2 of version 2\n")
        watch.wait_for(lambda: watch.brought)
        two.git("switch", "-q", "main")
        watch.wait_for(lambda: two.path("media/0001.bin").read_bytes() == b"1 of version 1\n")
        time.sleep(1.0)
        assert len(watch.brought) <= 2, "the hook and the watch divided it among them"
        assert watch.end() == 0
        assert watch.lines[-1] == "watching ended"
    assert set(two.status().values()) == {"ok"}


def test_a_sidecar_written_by_hand(two):
    other = two.git("show", "second:media/0000.bin.regen.json").stdout
    with Watch(two) as watch:
        two.path("media/0000.bin.regen.json").write_text(other)
        watch.wait_for(lambda: two.path("media/0000.bin").read_bytes() == b"0 of version 2\n")
        assert watch.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), Interrupted("interrupted")], ids=["a signal", "what a verb made of it"])
def test_an_end_in_the_middle_of_a_sync_is_no_error_of_that_sync(two, monkeypatch, stop):
    def check_out(*_args, **_options):
        raise stop

    monkeypatch.setattr("regen_vcs.engine.watch.check_out", check_out)
    with pytest.raises(type(stop)):
        next(watch(str(two.root), two.env, tell=print))


def test_a_removed_asset_comes_back_and_an_edited_one_is_kept_safe(two, home):
    with Watch(two) as watch:
        two.path("media/0000.bin").unlink()
        watch.wait_for(lambda: two.path("media/0000.bin").exists())
        two.path("media/0001.bin").write_bytes(b"an afternoon's work\n")
        from blake3 import blake3

        digest = blake3(b"an afternoon's work\n").hexdigest()
        watch.wait_for(lambda: (home.keep / "v1/objects" / digest[:2] / digest[2:]).exists())
        assert two.path("media/0001.bin").read_bytes() == b"an afternoon's work\n"
        assert watch.end() == 0
    assert two.status()["media/0001.bin"] == "modified"


def test_folders_that_go_and_come_back(two):
    with Watch(two) as watch:
        for _ in range(2):
            shutil.rmtree(two.path("media"))
            time.sleep(0.6)
            two.git(*NO_HOOKS, "checkout", "-q", "--", "media")
            watch.wait_for(lambda: two.path("media/0002.bin").exists())
        other = two.git("show", "second:media/0000.bin.regen.json").stdout
        two.path("media/0000.bin.regen.json").write_text(other)
        watch.wait_for(lambda: two.path("media/0000.bin").read_bytes() == b"0 of version 2\n")
        assert watch.end() == 0


def test_a_storm_is_a_few_syncs(project):
    """Five thousand sidecars written one after another, and nobody syncs five thousand times."""
    make_sources(project, 2)
    text = project.path("media/0000.bin.regen.json").read_bytes()
    other = project.path("media/0001.bin.regen.json").read_bytes()
    generation = project.root / ".git/regen/generation"
    with Watch(project) as watch:
        before = generation.stat().st_size
        began = time.monotonic()
        for n in range(2500):
            for data in (other, text if n % 2 else other):
                temp = project.path("media/x.tmp")
                temp.write_bytes(data)
                os.replace(temp, project.path("media/0000.bin.regen.json"))
        took = time.monotonic() - began
        time.sleep(3.0)
        syncs = generation.stat().st_size - before
        assert 1 <= syncs <= 3 + took / QUIET, "each sync announces itself with one byte"
        assert watch.end() == 0
    assert set(project.status().values()) == {"ok"}


def test_what_is_nobodys_affair_starts_no_sync(two):
    generation = two.root / ".git/regen/generation"
    with Watch(two) as watch:
        before = generation.stat().st_size
        two.write("notes.txt", b"hello")
        two.write("media/readme.md", b"hello")
        two.git("hash-object", "-w", "notes.txt")
        time.sleep(1.5)
        assert generation.stat().st_size == before
        assert watch.end() == 0


def test_a_linked_worktree(two, home):
    root = home.work / "linked"
    two.git("worktree", "add", "-q", str(root), "second")
    linked = type(two)(home, root)
    linked.regen("sync")
    state = Path(two.git("rev-parse", "--git-path", "regen", cwd=root).stdout.strip())
    assert (state / "state.json").exists()
    with LinkedWatch(linked) as watch:
        linked.git(*NO_HOOKS, "switch", "-q", "--detach", "main")
        watch.wait_for(lambda: linked.path("media/0002.bin").read_bytes() == b"2 of version 1\n")
        assert watch.end() == 0


class LinkedWatch(Watch):
    def __enter__(self) -> Watch:
        self.wait_for(lambda: any(line.startswith("watching ") for line in self.lines))
        time.sleep(2.0)
        return self


def test_looking_again_and_again(two):
    with Watch(two, "--poll") as watch:
        two.git(*NO_HOOKS, "switch", "-q", "second")
        watch.wait_for(lambda: two.path("media/0002.bin").read_bytes() == b"2 of version 2\n")
        assert watch.end() == 0


def limit_is_ours() -> bool:
    done = subprocess.run(
        ["unshare", "-r", "sh", "-c", "echo 10 > /proc/sys/user/max_inotify_watches"], capture_output=True, check=False, timeout=10
    )
    return done.returncode == 0


@pytest.mark.needs("unshare")
@pytest.mark.parametrize("limit", [0, 4])
def test_where_the_system_cannot_watch_that_many_folders(two, limit):
    """Of a limit that is reached below the root the observer says nothing: it has to be found out."""
    if not limit_is_ours():
        pytest.skip("this kernel does not let us set a limit of our own")
    for n in range(20):
        two.path(f"deep/{n}").mkdir(parents=True)
    shell = ("unshare", "-r", "sh", "-c", f'echo {limit} > /proc/sys/user/max_inotify_watches; exec "$@"', "sh")
    with Watch(two, before=shell) as watch:
        assert any("cannot watch that many folders" in line for line in watch.lines), watch.lines
        two.git(*NO_HOOKS, "switch", "-q", "second")
        watch.wait_for(lambda: two.path("media/0002.bin").read_bytes() == b"2 of version 2\n")
        assert watch.end() == 0


def test_it_ends_where_the_worktree_is_gone(two):
    with Watch(two) as watch:
        shutil.rmtree(two.root)
        watch.proc.wait(15)
        assert watch.proc.returncode == 1
        time.sleep(0.2)
        assert "Traceback" not in "\n".join(watch.lines)


def test_a_recipe_that_is_broken_does_not_end_it(two):
    sidecar = two.path("media/0000.bin.regen.json")
    good = sidecar.read_bytes()
    with Watch(two) as watch:
        sidecar.write_bytes(b"{ not json")
        two.write("regen.toml", b"[[[")
        time.sleep(1.0)
        sidecar.write_bytes(good)
        two.git(*NO_HOOKS, "checkout", "-q", "--", "regen.toml")
        other = two.git("show", "second:media/0001.bin.regen.json").stdout
        two.path("media/0001.bin.regen.json").write_text(other)
        watch.wait_for(lambda: two.path("media/0001.bin").read_bytes() == b"1 of version 2\n")
        assert watch.end() == 0


# -- bursts, without a disk --------------------------------------------------------------------------------------------


def test_a_burst_is_one_and_a_long_one_is_cut(monkeypatch):
    monkeypatch.setattr("regen_vcs.engine.changes.QUIET", 0.1)
    monkeypatch.setattr("regen_vcs.engine.changes.MOST", 0.5)
    changes = Changes("/film", "/film/.git")
    ended = threading.Event()

    def storm() -> None:
        while not ended.wait(0.01):
            changes.note("a")

    thread = threading.Thread(target=storm)
    thread.start()
    began = time.monotonic()
    assert changes.take() == {"a"}
    took = time.monotonic() - began
    ended.set()
    thread.join()
    assert 0.4 < took < 2.0


def test_what_counts_and_under_which_name():
    changes = Changes("/film", "/film/.git")
    names = {path: changes._name_of(path) for path in (
        "/film/a.png", "/film/.git/index", "/film/.git/HEAD", "/film/.git/index.lock", "/film/.git/objects/ab/cd", "/film/sub/.git/index",
        "/filmy/a.png", "/film",
    )}  # fmt: skip
    assert list(names.values()) == ["a.png", ".git/index", ".git/HEAD", None, None, None, None, None]


def test_so_many_that_nobody_counts_them(monkeypatch):
    monkeypatch.setattr("regen_vcs.engine.changes._MOST_PATHS", 3)
    changes = Changes("/film", "/film/.git")
    for n in range(10):
        changes.note(str(n))
    assert EVERYTHING in changes.take()


def test_json_of_a_dry_run_still_has_every_field(two):
    """`cost` stands in each step of a plan."""
    two.path("media/0000.bin").unlink()
    plan = json.loads(two.regen("sync", "--dry-run", "--json").stdout)
    assert set(plan["steps"][0]) == {"action", "path", "hash", "size", "reason", "seconds", "cost"}
