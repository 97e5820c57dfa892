"""Ways back: over inputs that stay, over others that come back, and never round in a circle."""

from __future__ import annotations

from regen_vcs.engine.gc.names import may_name_trees, names_in
from regen_vcs.engine.gc.recall import MADE_AGAIN, Way, find_ways
from regen_vcs.platform.mounts import _parse, shared_kind

H = "0123456789abcdef" * 4


def ways(graph: dict[str, list[set[str]]]):
    return lambda hash: [Way(MADE_AGAIN, "g", 1.0, None, frozenset(inputs)) for inputs in graph.get(hash, ())]


def found(graph: dict[str, list[set[str]]], there: str = "") -> set[str]:
    return set(find_ways(graph, ways(graph), lambda each: each in there))


def test_without_inputs():
    assert found({"a": [set()], "b": []}) == {"a"}


def test_over_what_stays_and_over_what_comes_back():
    assert found({"a": [{"s"}], "b": [{"a"}], "c": [{"b", "a"}], "d": [{"x"}]}, there="s") == {"a", "b", "c"}


def test_two_that_are_made_of_one_another_both_stay():
    assert found({"a": [{"b"}], "b": [{"a"}]}) == set()
    assert found({"a": [{"a"}]}) == set()
    assert found({"a": [{"c"}], "b": [{"a"}], "c": [{"b"}], "d": [{"c"}]}) == set()


def test_a_circle_with_a_way_in_is_none():
    assert found({"a": [{"b"}, {"s"}], "b": [{"a"}]}, there="s") == {"a", "b"}


def test_what_goes_is_not_there_whatever_is_said():
    assert found({"a": [{"b"}], "b": []}, there="b") == set()


def test_a_chain_as_long_as_a_film():
    chain = {f"n{n}": [{f"n{n - 1}"}] for n in range(1, 5000)}
    assert len(found({"n0": [set()], **chain})) == 5000


def test_names_are_found_in_ruins():
    text = b'<<<<<<< ours\n  "hash": "blake3:%s",\n=======\n "hash": "bl\\u0061ke3:%s"\n "x": "%s" "y": "pixels:blake3:%s"'
    one, two, three, four = (f"{n}" * 64 for n in (1, 2, 3, 4))
    assert names_in(text % (one.encode(), two.encode(), three.encode(), four.encode())) == {one, two, three}
    assert names_in(b'"\\u0062lake3:' + H.encode() + b'"') == {H}
    assert names_in(f'"blake3:{H}0"'.encode()) == set()


def test_words_of_trees():
    assert may_name_trees(b'{"frames": "1-2"}') and may_name_trees(b'{"files": 2}') and may_name_trees(b'{"f\\u0069les": 2}')
    assert not may_name_trees(b'{"output": {"hash": "x"}}')


def test_file_systems_that_machines_share(monkeypatch, tmp_path):
    line = "36 35 98:0 / /mnt/my\\040disk rw,noatime shared:1 - nfs4 server:/x rw"
    assert _parse(line) == ("/mnt/my disk", "nfs4")
    assert shared_kind(str(tmp_path)) is None
    import builtins

    real = builtins.open

    def fake(path, *args, **kwargs):
        if path == "/proc/self/mountinfo":
            mounts = tmp_path / "mountinfo"
            mounts.write_text(f"1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:9 / {tmp_path}/nas rw - fuse.sshfs me@nas: rw\n")
            return real(mounts, *args, **kwargs)
        return real(path, *args, **kwargs)

    monkeypatch.setattr(builtins, "open", fake)
    assert shared_kind(f"{tmp_path}/nas/keep/v1") == "fuse.sshfs"
    assert shared_kind(f"{tmp_path}/nas2") is None
