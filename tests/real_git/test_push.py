"""`push` and pre-push: what travels, what stays, and what is said of what cannot."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from blake3 import blake3

from regen_vcs.git.index import blob_oid
from tests.real_git.silent import silent_server
from tests.real_git.studio import Studio, object_path, overwrite, statuses


@pytest.fixture
def studio(tmp_path):
    return Studio(tmp_path)


def pushed(project, *argv, **kwargs) -> dict:
    return json.loads(project.regen("push", *argv, "--json", **kwargs).stdout)["remotes"][0]


def hash_of(data: bytes) -> str:
    return blake3(data).hexdigest()


def test_git_push_takes_the_media_of_all_pushed_commits_along(studio):
    a = studio.a
    for text in (b"first", b"second", b"third"):
        a.write("a.png", text * 1000)
        a.regen("add", "a.png")
        a.commit(text.decode())
    a.git("switch", "-qc", "other")
    a.write("b.png", b"unpushed" * 100)
    a.regen("add", "b.png")
    a.commit("other")
    done = a.git("push", "-q", "origin", "main")
    assert "3 objects" in done.stderr
    assert studio.objects() == {hash_of(text * 1000) for text in (b"first", b"second", b"third")}
    assert a.git("push", "-q", "origin", "other").stderr.count("1 objects") == 1
    assert a.git("push", "-q", "origin", "other").stderr == ""
    a.git("push", "-q", "origin", ":other")  # a deletion has no media


def test_directories_and_sequences_travel_with_their_files(studio):
    a = studio.a
    for number in range(1, 4):
        a.write(f"seq/f.{number:04}.exr", f"frame {number}".encode() * 100)
        a.write(f"set/{number}.bin", f"part {number}".encode() * 100)
    a.regen("add", "seq/f.####.exr")
    a.regen("add", "--as-one", "set")
    studio.publish(a, "trees")
    assert len(studio.objects()) == 8
    b = studio.clone()
    assert b.path("seq/f.0002.exr").read_bytes() == b"frame 2" * 100
    assert b.path("set/3.bin").read_bytes() == b"part 3" * 100


def test_head_and_index_or_every_branch_and_tag_or_their_history(studio):
    a = studio.a
    a.git("config", "regen.pushAuto", "false")
    names = {}
    for name in ("old", "head"):
        a.write("a.png", name.encode() * 500)
        a.regen("add", "a.png")
        a.commit(name)
        names[name] = hash_of(name.encode() * 500)
    a.git("switch", "-qc", "branch")
    a.write("a.png", b"branch" * 500)
    a.regen("add", "a.png")
    a.commit("branch")
    a.git("switch", "-q", "main")
    a.write("staged.png", b"staged" * 500)
    a.regen("add", "staged.png")
    a.git("add", "-A")
    a.git("push", "-q", "origin", "main")
    assert studio.objects() == set()
    assert pushed(a, "--dry-run")["objects"] == 2
    assert studio.objects() == set()
    assert pushed(a, "staged.png")["objects"] == 1
    pushed(a)
    assert studio.objects() == {names["head"], hash_of(b"staged" * 500)}
    pushed(a, "--all")
    assert studio.objects() == {names["head"], hash_of(b"staged" * 500), hash_of(b"branch" * 500)}
    assert pushed(a, "--all", "--history")["objects"] == 1
    assert names["old"] in studio.objects()
    assert pushed(a, "--all", "--history") == {
        "remote": "studio", "objects": 0, "bytes": 0, "held": 3, "released": 0, "nowhere": [], "failed": [], "error": None,
    }


def test_stand_ins_and_unaccepted_takes_stay(studio):
    a = studio.a
    a.regen("generate", "sky.png", "--generator", "texture", "--param", "kind=fbm", "--param", "seed=1", "--param", "width=16",
            "--param", "height=16")
    accepted = statuses(a)["sky.png"]["output"].removeprefix("blake3:")
    a.commit("sky")
    a.regen("set", "sky.png", "seed=2")
    a.write("sky.png", b"painted over")  # and edited bytes are nobody's accepted ones
    a.regen("status")
    pushed(a)
    assert studio.objects() == {accepted}


def test_records_and_recipes_go_along_and_only_once(studio):
    a = studio.a
    a.regen("generate", "sky.png", "--generator", "texture", "--param", "seed=1", "--param", "width=16", "--param", "height=16")
    studio.publish(a, "sky")
    key = statuses(a)["sky.png"]["key"]
    folder = studio.store / "v1" / "results" / key[:2] / key
    (record,) = folder.glob("*/*.json")
    document = json.loads(record.read_bytes())
    assert document["by"].keys() == {"mac"} and "log" not in document
    assert blake3(record.read_bytes()).hexdigest() + ".json" == record.name
    recipe = studio.store / "v1" / "recipes" / key[:2] / f"{key}.json"
    assert json.loads(recipe.read_bytes())["generator"] == "texture"
    recipe.unlink()
    a.regen("push")
    assert not recipe.exists()  # told once; what a remote lost with its object comes again
    shutil.rmtree(studio.store / "v1")
    a.regen("push")
    assert recipe.exists() and list(folder.glob("*/*.json")) == [record]


def test_bytes_that_are_nowhere_are_named_and_no_error_where_the_remote_has_them(studio):
    a = studio.a
    for name in ("there.png", "lost.png"):
        a.write(name, name.encode() * 500)
    a.regen("add", ".")
    a.commit("two")
    a.regen("push", "there.png")
    for name in ("there.png", "lost.png"):
        a.path(name).unlink()
    for store in (a.user.keep, a.user.cache):
        shutil.rmtree(store)
    done = a.regen("push")
    assert "lost.png" in done.stderr and "there.png" not in done.stderr
    assert json.loads(a.regen("push", "--json").stdout)["remotes"][0]["nowhere"] == ["lost.png"]
    assert "lost.png" in a.git("push", "-q").stderr


def test_bytes_that_lie_in_the_worktree_alone_are_kept_and_pushed(studio):
    a = studio.a
    a.write("a.png", b"a" * 5000)
    a.regen("add", ".")
    a.commit("a")
    for store in (a.user.keep, a.user.cache):
        shutil.rmtree(store, ignore_errors=True)
    assert pushed(a)["objects"] == 1
    assert studio.objects() == {hash_of(b"a" * 5000)}


def test_a_damaged_object_is_not_sent(studio):
    a = studio.a
    a.write("a.png", b"a" * 5000)
    a.regen("add", ".")
    a.commit("a")
    path = object_path(a.user.keep, hash_of(b"a" * 5000))
    st = path.stat()
    overwrite(path, b"b" * 5000)
    os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))  # as a disk rots: no time stamp tells
    path.chmod(0o444)
    a.path("a.png").unlink()
    done = a.regen("push", check=False)
    assert done.returncode == 6 and "a.png" in done.stderr
    assert studio.objects() == set()
    assert a.git("push", "-q").returncode == 0


def test_several_remotes_and_a_read_only_one(studio, tmp_path):
    a = studio.a
    a.regen("remote", "add", "second", str(tmp_path / "second"))
    a.regen("remote", "add", "third", str(tmp_path / "third"))
    a.regen("remote", "add", "third", str(tmp_path / "third"), "--read-only")
    a.write("a.png", b"a" * 5000)
    a.regen("add", ".")
    a.commit("a")
    assert a.regen("push", "--to", "third", check=False).returncode == 2
    a.regen("push", "second")
    assert studio.objects() == set() and object_path(tmp_path / "second", hash_of(b"a" * 5000)).exists()
    a.regen("push")
    assert studio.objects() == {hash_of(b"a" * 5000)}
    assert not object_path(tmp_path / "third", hash_of(b"a" * 5000)).exists()


def test_a_dead_remote_keeps_neither_git_push_nor_the_others(studio, tmp_path):
    a = studio.a
    a.regen("remote", "add", "second", str(tmp_path / "second"))
    studio.store.rename(tmp_path / "unmounted")
    a.write("a.png", b"a" * 5000)
    a.regen("add", ".")
    said = studio.publish(a, "a")
    assert "studio" in said and "not uploaded" in said
    assert object_path(tmp_path / "second", hash_of(b"a" * 5000)).exists()
    assert a.git("rev-parse", "origin/main").stdout == a.git("rev-parse", "main").stdout
    assert a.regen("push", check=False).returncode == 5


def test_a_silent_remote_costs_git_push_seconds(project, tmp_path):
    with silent_server() as url:
        project.git("config", "regen.remote.silent.url", url)
        project.write("a.png", b"a" * 5000)
        project.regen("add", ".")
        project.commit("a")
        project.git("init", "-q", "--bare", str(tmp_path / "hub.git"))
        done = project.git("push", "-q", str(tmp_path / "hub.git"), "main", timeout=30)
        assert "silent" in done.stderr


def test_without_a_remote_the_hook_starts_no_python(project, tmp_path):
    project.git("init", "-q", "--bare", str(tmp_path / "hub.git"))
    hook = project.path(".git/hooks/pre-push")
    hook.write_text(hook.read_text().replace("launch() {", "launch() { touch launched;"))
    project.git("push", "-q", str(tmp_path / "hub.git"), "main")
    assert not project.path("launched").exists()
    project.git("config", "regen.remote.x.url", str(tmp_path / "x"))
    project.git("push", "-q", str(tmp_path / "hub.git"), "main:other")
    assert project.path("launched").exists()


def test_push_auto_off(studio):
    studio.a.git("config", "regen.pushAuto", "false")
    studio.a.write("a.png", b"a" * 5000)
    studio.a.regen("add", ".")
    assert studio.publish(studio.a, "a") == ""
    assert studio.objects() == set()


def test_nothing_to_push_to_and_nothing_that_matches(project, tmp_path):
    assert project.regen("push", check=False).returncode == 2
    project.regen("remote", "add", "s", str(tmp_path / "s"))
    assert project.regen("push", "nothing.png", check=False).returncode == 2
    project.regen("push")
    project.regen("push", "--all")


def test_an_unborn_branch(home, tmp_path):
    project = home.repo(init=False)
    project.regen("init")
    project.regen("remote", "add", "s", str(tmp_path / "s"))
    project.regen("push")
    project.regen("push", "--all", "--history")


def test_in_place_documents_take_their_bytes_along(studio):
    a = studio.a
    a.regen("track", "--in-place", "*.psd")
    a.write("paint.psd", b"layers" * 1000)
    studio.publish(a, "in place")
    assert studio.objects() == {hash_of(b"layers" * 1000)}
    assert a.git("rev-parse", "HEAD:paint.psd").stdout.strip() != blob_oid(b"layers" * 1000, "sha1")
