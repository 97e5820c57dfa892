"""The trust store: what it remembers, and what it does when its file is not what it wrote."""

from __future__ import annotations

import json
import multiprocessing
import os
import stat
import sys

import pytest

from regen_vcs.engine.project_file import ProjectFile
from regen_vcs.engine.trust import MAX_CONTENT_BYTES, TrustItem, TrustStore, items_of, store_path
from regen_vcs.errors import InvalidError, NewerFormat
from regen_vcs.model.key import hash_bytes

posix = pytest.mark.skipif(os.name != "posix", reason="modes and owners are POSIX's")


def item(kind: str = "code", path: str = "tools/x.py", data: bytes = b"x") -> TrustItem:
    return TrustItem(kind, path, hash_bytes(data))


@pytest.fixture
def store(tmp_path) -> TrustStore:
    return TrustStore(str(tmp_path / "config" / "trust" / "repo.json"))


def test_nothing_is_trusted_at_first(store):
    assert store.items == [] and store.problem is None
    assert not store.is_trusted("code", item().hash)
    assert store.untrusted([item()]) == [item()]
    assert store.revoke() == 0


def test_what_was_trusted_stays_trusted(store):
    old, new = item(data=b"1"), item(data=b"2")
    store.add([old])
    store.add([new])
    again = TrustStore(store.path)
    assert again.untrusted([old, new]) == []
    assert again.items == [old, new]


def test_a_hash_is_trusted_as_what_it_was_trusted_for(store):
    """An input that was looked at as data for a program is not thereby code, nor a regen.toml."""
    store.add([item("input", "a.py")])
    assert store.is_trusted("input", item().hash)
    assert not store.is_trusted("code", item().hash)
    assert not store.is_trusted("regen.toml", item().hash)
    assert store.is_trusted("input", item("input", "elsewhere/b.py").hash)


def test_revoke_forgets_everything(store):
    store.add([item(), item("regen.toml", "regen.toml", b"t")], {item().hash: b"x"})
    assert store.revoke() == 2
    assert not store.is_trusted("code", item().hash)
    assert store.last_trusted("code", "tools/x.py") is None
    assert os.listdir(os.path.dirname(store.path)) == [".lock"]


def test_another_process_word_is_seen_at_the_next_question(store):
    assert not store.is_trusted("code", item().hash)
    TrustStore(store.path).add([item()])
    assert store.is_trusted("code", item().hash)
    TrustStore(store.path).revoke()
    assert not store.is_trusted("code", item().hash)


@posix
def test_only_the_user_can_read_it(store):
    old = os.umask(0)
    try:
        store.add([item()], {item().hash: b"x"})
    finally:
        os.umask(old)
    folder = os.path.dirname(store.path)
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    for name in ("repo.json", f"repo.contents/{item().hash}"):
        assert stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode) == 0o600


def _add_many(path: str, number: int) -> None:
    store = TrustStore(path)
    for n in range(10):
        store.add([item(path=f"{number}/{n}", data=b"%d %d" % (number, n))])


@pytest.mark.skipif(sys.platform == "win32", reason="fork")
def test_two_processes_at_once_lose_nothing(store):
    os.makedirs(os.path.dirname(store.path))
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=_add_many, args=(store.path, number)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert len(store.items) == 30 and store.problem is None


# ---------------------------------------------------------------- contents


def test_the_last_trusted_text_is_kept(store):
    first, second = item(data=b"1"), item(data=b"2")
    store.add([first], {first.hash: b"1"})
    assert store.last_trusted("code", "tools/x.py") == b"1"
    store.add([second], {second.hash: b"2"})
    assert store.last_trusted("code", "tools/x.py") == b"2"
    assert os.listdir(store.path.replace(".json", ".contents")) == [second.hash]
    store.add([first], {first.hash: b"1"})
    assert store.last_trusted("code", "tools/x.py") == b"1"
    assert store.last_trusted("code", "other.py") is None


def test_long_files_are_named_only(store):
    data = b"a" * (MAX_CONTENT_BYTES + 1)
    store.add([item(data=data)], {hash_bytes(data): data})
    assert store.is_trusted("code", hash_bytes(data))
    assert store.last_trusted("code", "tools/x.py") is None


def test_a_kept_text_that_was_changed_is_not_shown(store):
    store.add([item()], {item().hash: b"x"})
    with open(os.path.join(store.path.replace(".json", ".contents"), item().hash), "wb") as file:
        file.write(b"y")
    assert store.last_trusted("code", "tools/x.py") is None
    assert store.is_trusted("code", item().hash)


# ---------------------------------------------------------------- files that are not what we wrote


def write(store: TrustStore, text: str) -> None:
    os.makedirs(os.path.dirname(store.path), exist_ok=True)
    with open(store.path, "w") as file:
        file.write(text)
    os.chmod(store.path, 0o600)


GOOD_ENTRY = {"kind": "code", "path": "x", "hash": item().hash}


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", "[" * 100_000, '{"regen-trust": "1"}', '{"regen-trust": 1}', '{"regen-trust": 1, "items": {}}',
        json.dumps({"regen-trust": 1, "items": [GOOD_ENTRY, {**GOOD_ENTRY, "hash": "../../etc/passwd"}]}),
        json.dumps({"regen-trust": 1, "items": [GOOD_ENTRY, {**GOOD_ENTRY, "kind": "all"}]}),
        json.dumps({"regen-trust": 1, "items": [GOOD_ENTRY, {**GOOD_ENTRY, "path": 3}]}),
        json.dumps({"regen-trust": 1, "items": [GOOD_ENTRY, 3]}),
    ],
)
def test_a_broken_file_trusts_nothing_and_stops_nobody(store, text):
    write(store, text)
    assert not store.is_trusted("code", item().hash)
    assert isinstance(store.problem, InvalidError) and "nothing is trusted" in store.problem.what
    store.add([item("code", "y", b"y")])
    assert store.problem is None and store.items == [item("code", "y", b"y")]
    with open(store.path + ".broken") as file:
        assert file.read() == text


def test_a_newer_file_is_left_alone(store):
    text = json.dumps({"regen-trust": 2, "items": [GOOD_ENTRY]})
    write(store, text)
    assert not store.is_trusted("code", item().hash)
    with pytest.raises(NewerFormat):
        store.add([item()])
    with open(store.path) as file:
        assert file.read() == text


@posix
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_others_can_write_trusts_nothing(store, mode):
    store.add([item()])
    os.chmod(store.path, mode)
    assert not store.is_trusted("code", item().hash)
    assert "others can write it" in store.problem.what


@posix
def test_something_that_is_no_file(store):
    os.makedirs(os.path.dirname(store.path))
    os.mkfifo(store.path)
    assert not store.is_trusted("code", item().hash)
    assert "not a trust file" in store.problem.what


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give a file away")
def test_somebody_elses_file_trusts_nothing(store):
    store.add([item()])
    os.chown(store.path, 12345, 12345)
    assert not store.is_trusted("code", item().hash)


# ---------------------------------------------------------------- where it is


def test_the_file_is_in_the_users_configuration(tmp_path):
    environ = {"REGEN_CONFIG_DIR": str(tmp_path)}
    uuid = "0b0e7a0e-6c0f-4b6e-9b43-1de2f2f1c3aa"
    assert store_path(environ, uuid) == f"{tmp_path}/trust/{uuid}.json"


@pytest.mark.parametrize("bad", ["", "../../x", "a/b/c/d/e/f", ".", "a" * 65, "0b0e7a0e\n6c0f-4b6e", "-0b0e7a0e"])
def test_an_id_that_is_no_uuid_is_refused(bad):
    with pytest.raises(InvalidError, match="not a UUID"):
        store_path({"REGEN_CONFIG_DIR": "/c"}, bad)


# ---------------------------------------------------------------- what must be trusted


RUNS = b'[generators.up]\nuses = "command"\nargv = ["x"]\n'
HARMLESS = b'[generators.noise]\nuses = "texture"\n[checkout]\nwait = "1s"\n'


def test_items_of_a_project_that_runs_something():
    file = ProjectFile.load(RUNS)
    items = items_of(file, {"tools/b.py": "b" * 64, "tools/a.py": "a" * 64}, {"scene.blend": "c" * 64, "sky.png": "d" * 64})
    assert items == [
        TrustItem("regen.toml", "regen.toml", hash_bytes(RUNS)),
        TrustItem("code", "tools/a.py", "a" * 64),
        TrustItem("code", "tools/b.py", "b" * 64),
        TrustItem("input", "scene.blend", "c" * 64),
    ]


@pytest.mark.parametrize("data", [None, b"", HARMLESS])
def test_a_project_that_runs_nothing_needs_no_trust(data):
    assert items_of(ProjectFile.load(data), {}) == []


def test_one_changed_byte_is_untrusted(store):
    store.add(items_of(ProjectFile.load(RUNS), {}))
    assert store.untrusted(items_of(ProjectFile.load(RUNS), {})) == []
    changed = items_of(ProjectFile.load(RUNS.replace(b'"x"', b'"y"')), {})
    assert store.untrusted(changed) == changed
