"""Records of runs, recipes by key, the rescue log, the register of repositories."""

from __future__ import annotations

import os

import pytest
from blake3 import blake3

from regen_vcs.errors import InvalidError
from regen_vcs.stores.results import Repos, RescueLog, Results

KEY = blake3(b"key").hexdigest()
OUT = [blake3(b"out %d" % number).hexdigest() for number in range(3)]


@pytest.fixture
def results(tmp_path):
    return Results(str(tmp_path / "v1"))


def test_takes_come_back_by_time(results):
    results.record(KEY, OUT[1], {"at": "2026-02-01T00:00:00Z", "seconds": 2})
    results.record(KEY, OUT[0], {"at": "2026-01-01T00:00:00Z", "seconds": 1})
    results.record(KEY, OUT[1], {"at": "2026-03-01T00:00:00Z", "output": {"size": 3}})
    takes = results.takes(KEY)
    assert [take["output_hash"] for take in takes] == [OUT[0], OUT[1], OUT[1]]
    assert [take["key"] for take in takes] == [KEY] * 3
    assert takes[0]["seconds"] == 1
    assert takes[2]["output"] == {"size": 3}
    assert results.takes(blake3(b"other").hexdigest()) == []
    assert list(results.keys()) == [KEY]


def test_a_record_is_named_by_its_bytes_and_written_once(results, tmp_path):
    names = {results.record(KEY, OUT[0], {"at": "x", "cost": 1.5}) for _ in range(3)}
    (name,) = names
    path = tmp_path / "v1" / "results" / KEY[:2] / KEY / OUT[0] / f"{name}.json"
    assert blake3(path.read_bytes()).hexdigest() == name
    assert path.read_bytes() == b'{"at":"x","cost":1.5}'
    assert path.stat().st_mode & 0o777 == 0o444
    assert [take["record"] for take in results.takes(KEY)] == [name]


def test_garbage_is_a_miss(results, tmp_path):
    name = results.record(KEY, OUT[0], {"at": "1"})
    folder = tmp_path / "v1" / "results" / KEY[:2] / KEY
    (folder / OUT[0] / f"{'0' * 64}.json").write_bytes(b'{"at":"forged"}')
    list_bytes = b"[1]"
    (folder / OUT[0] / f"{blake3(list_bytes).hexdigest()}.json").write_bytes(list_bytes)
    (folder / OUT[0] / "notes.txt").write_text("x")
    (folder / OUT[0] / "tmp-host-1-1").write_text("half")
    (folder / "stray").write_text("x")
    (tmp_path / "v1" / "results" / "zz").write_text("x")
    (tmp_path / "v1" / "results" / KEY[:2] / "not-a-key").mkdir()
    assert [take["record"] for take in results.takes(KEY)] == [name]
    assert len(list(results.broken())) == 4


def test_damaged_records_are_written_anew(results, tmp_path):
    name = results.record(KEY, OUT[0], {"at": "1"})
    path = tmp_path / "v1" / "results" / KEY[:2] / KEY / OUT[0] / f"{name}.json"
    path.chmod(0o644)
    path.write_bytes(b"{")
    assert results.takes(KEY) == []
    results.record(KEY, OUT[0], {"at": "1"})
    assert len(results.takes(KEY)) == 1


def test_a_batch_of_records(results):
    with results.batch():
        for number in range(5):
            results.record(KEY, OUT[0], {"at": str(number)})
        results.save_recipe(KEY, b"{}\n")
        assert results.takes(KEY) == []
    assert [take["at"] for take in results.takes(KEY)] == list("01234")
    assert results.recipe(KEY) == b"{}\n"


def test_recipes_by_key(results):
    assert results.recipe(KEY) is None
    results.save_recipe(KEY, b'{"regen": 1}\n')
    results.save_recipe(KEY, b'{"regen": 1}\n')
    assert results.recipe(KEY) == b'{"regen": 1}\n'


def test_names_stay_inside(results):
    for key in ("../../x", "", "a" * 63 + "/"):
        with pytest.raises(InvalidError):
            results.takes(key)
        with pytest.raises(InvalidError):
            results.record(KEY, key, {})


def test_the_rescue_log(tmp_path):
    log = RescueLog(str(tmp_path / "v1"))
    assert log.entries() == []
    log.add("repo-1", "/w", "shots/sky \udcff.png", OUT[0], 7, "edited")
    log.add("repo-2", "/w2", "b.png", OUT[1], 8, "edited")
    assert [(e["path"], e["hash"], e["size"], e["worktree"]) for e in log.entries("repo-1")] == [
        ("shots/sky \udcff.png", OUT[0], 7, "/w")
    ]
    assert len(log.entries()) == 2
    assert log.entries("repo-3") == []


def test_a_torn_line_costs_only_itself(tmp_path):
    log = RescueLog(str(tmp_path / "v1"))
    log.add("repo", "/w", "a", OUT[0], 1, "edited")
    path = tmp_path / "v1" / "rescued" / "repo.jsonl"
    with open(path, "ab") as file:
        file.write(b'{"at": "2026-')
    log.add("repo", "/w", "b", OUT[1], 1, "edited")
    assert [entry["path"] for entry in log.entries("repo")] == ["a", "b"]


def test_the_register_of_repositories(tmp_path):
    repos = Repos(str(tmp_path / "v1"))
    assert repos.entries() == {}
    repos.register("uuid-1", "/films/one/.git")
    repos.register("uuid-1", "/films/two/.git", worktrees=["/films/two"])
    repos.save("uuid-1", "roots", b"abc\n" * 400_000)
    (entry,) = repos.entries().values()
    assert (entry["path"], entry["worktrees"]) == ("/films/two/.git", ["/films/two"])
    assert entry["last_seen"].endswith("Z")
    assert len(repos.load("uuid-1", "roots")) == 1_600_000
    assert repos.load("uuid-1", "none") is None
    repos.forget("uuid-1")
    assert repos.entries() == {}
    for name in ("../x", ".", "", "a/b"):
        with pytest.raises(InvalidError):
            repos.register(name, "/x")


def test_copies_are_places_of_their_own(tmp_path):
    repos = Repos(str(tmp_path / "v1"))
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        repos.register("uuid-1", str(tmp_path / name), root=str(tmp_path))
    assert {place.path for place in repos.places()} == {str(tmp_path / "one"), str(tmp_path / "two")}
    assert {place.root for place in repos.places()} == {str(tmp_path)}
    first = repos.places()[0]
    repos.save("uuid-1", f"roots-{first.tag}", b"x")
    repos.forget_place(first)
    assert len(repos.places()) == 1 and repos.load("uuid-1", f"roots-{first.tag}") is None


def test_a_repository_that_was_moved_leaves_its_old_place(tmp_path):
    repos = Repos(str(tmp_path / "v1"))
    (tmp_path / "old").mkdir()
    repos.register("uuid-1", str(tmp_path / "old"))
    (tmp_path / "old").rename(tmp_path / "new")
    repos.register("uuid-1", str(tmp_path / "new"))
    assert [place.path for place in repos.places()] == [str(tmp_path / "new")]


def test_one_whose_place_is_gone_but_is_no_move_stays(tmp_path):
    """A copy on a disk that is not mounted now."""
    repos = Repos(str(tmp_path / "v1"))
    for name in ("here", "usb"):
        (tmp_path / name).mkdir()
    repos.register("uuid-1", str(tmp_path / "usb"))
    (tmp_path / "usb").rmdir()
    repos.register("uuid-1", str(tmp_path / "here"))
    assert len(repos.places()) == 2


def test_registering_again_writes_nothing(tmp_path):
    repos = Repos(str(tmp_path / "v1"))
    repos.register("uuid-1", str(tmp_path), root="/r")
    (path,) = (tmp_path / "v1" / "repos" / "uuid-1").iterdir()
    before = path.stat().st_ino
    repos.register("uuid-1", str(tmp_path))
    repos.register("uuid-1", str(tmp_path), root="/r")
    assert path.stat().st_ino == before
    repos.register("uuid-1", str(tmp_path), root="/other")
    assert repos.places()[0].root == "/other"


def test_a_damaged_entry_is_a_repository_that_nobody_can_find(tmp_path):
    repos = Repos(str(tmp_path / "v1"))
    repos.register("uuid-1", str(tmp_path))
    (path,) = (tmp_path / "v1" / "repos" / "uuid-1").iterdir()
    path.write_bytes(b"{")
    (tmp_path / "v1" / "repos" / "uuid-2").mkdir()
    assert [(place.uuid, place.path) for place in repos.places()] == [("uuid-1", ""), ("uuid-2", "")]


def test_what_is_forgotten_was_not_rescued(tmp_path):
    log = RescueLog(str(tmp_path / "v1"))
    log.add("repo", "/w", "a", OUT[0], 1, "edited")
    log.add("repo", "/w", "b", OUT[1], 1, "edited")
    assert log.forget(OUT[0]) and not log.forget(OUT[0])
    assert [entry["path"] for entry in log.entries()] == ["b"]
    log.add("repo", "/w", "c", OUT[0], 1, "edited again")
    assert [entry["path"] for entry in log.entries("repo")] == ["b", "c"]


def test_logs_are_appended_to_by_many(tmp_path):
    logs = [RescueLog(str(tmp_path / "v1")) for _ in range(4)]
    pids = []
    for log in logs:
        pid = os.fork()
        if pid == 0:
            for number in range(25):
                log.add("repo", "/w", f"{os.getpid()}/{number}", OUT[0], 1, "edited")
            os._exit(0)
        pids.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * 4
    assert len(logs[0].entries("repo")) == 100
