"""Remotes: where they stand, who may choose them, whether they are sound, and what leaves them."""

from __future__ import annotations

import json
import shutil

import pytest

from regen_vcs.engine.remotes import holds_durably
from regen_vcs.engine.workspace import Workspace
from tests.real_git.studio import Studio, object_path, overwrite, statuses


@pytest.fixture
def studio(tmp_path):
    return Studio(tmp_path)


def test_adding_listing_and_removing(project, home):
    store = home.base / "ein störe"
    project.regen("remote", "add", "nas", str(store), "--durable")
    assert (store / "regen-remote.json").exists()
    assert project.regen("remote", "add", "nas", str(store)).stdout == "nas is in use already\n"
    listed = json.loads(project.regen("remote", "list", "--json").stdout)
    assert listed == {"remotes": [{"name": "nas", "url": str(store), "durable": True, "read_only": False}], "suggested": []}
    assert project.git("config", "--local", "regen.remote.nas.url").stdout.strip() == str(store)
    assert "durable" in project.regen("remote").stdout

    done = project.regen("remote", "add", "nas", str(home.base / "other"), check=False)
    assert done.returncode == 2
    assert "already" in done.stderr and "remote remove nas" in done.stderr
    assert not (home.base / "other").exists()

    project.regen("remote", "remove", "nas")
    assert json.loads(project.regen("remote", "list", "--json").stdout)["remotes"] == []
    assert (store / "regen-remote.json").exists()
    assert project.regen("remote", "remove", "nas", check=False).returncode == 2


def test_a_flag_may_be_added_later_and_is_not_lost(project, home):
    store = str(home.base / "store")
    project.regen("remote", "add", "nas", store)
    project.regen("remote", "add", "nas", store, "--durable")
    project.regen("remote", "add", "nas", store)
    assert json.loads(project.regen("remote", "list", "--json").stdout)["remotes"][0]["durable"] is True


def test_a_relative_path_is_the_callers(project, home):
    project.path("sub").mkdir()
    project.regen("remote", "add", "nas", "../../store", cwd=project.path("sub"))
    assert project.git("config", "regen.remote.nas.url").stdout.strip() == str(home.work / "store")


@pytest.mark.parametrize(("url", "code"), [("ftp://host/x", 3), ("s3://user:geheim@bucket/x", 3), ("https://u:geheim@host/x", 3)])
def test_a_url_that_cannot_be_one(project, url, code):
    done = project.regen("remote", "add", "nas", url, check=False)
    assert done.returncode == code, done.stderr
    assert "geheim" not in done.stderr + done.stdout
    assert project.git("config", "--get-regexp", "regen.remote", check=False).returncode == 1


@pytest.mark.parametrize("name", ["", "-x", "a/b", "a b", "..", "ü"])
def test_a_name_that_cannot_be_one(project, home, name):
    done = project.regen("remote", "add", "--", name, str(home.base / "store"), check=False)
    assert done.returncode == 2, done.stderr


def test_a_suggested_remote_is_shown_and_taken_only_by_the_user(project, home):
    store = home.base / "store"
    with open(project.path("regen.toml"), "a") as file:
        file.write(f'\n[suggestedRemotes.studio]\nurl = "file://{store}"\n')
    assert "suggested" in project.regen("remote", "list").stdout
    project.write("a.png", b"a")
    project.regen("add", "a.png")
    assert project.regen("push", check=False).returncode == 2  # it suggests only
    done = project.regen("remote", "add", "studio", check=False)
    assert done.returncode == 4 and f"file://{store}" in done.stdout
    assert not store.exists()
    done = project.regen("remote", "add", "studio", "--yes")
    assert f"file://{store}" in done.stdout
    assert store.exists()
    assert project.regen("remote", "add", "nobody", check=False).returncode == 2


def test_a_repository_cannot_make_a_remote_active(project):
    with open(project.path("regen.toml"), "a") as file:
        file.write('\n[remotes.evil]\nurl = "file:///tmp/evil"\n')
    done = project.regen("remote", "list", check=False)
    assert done.returncode == 3 and "evil" not in done.stdout


# -- soundness -----------------------------------------------------------------------------------------------------


def test_check_reads_every_object(studio):
    a = studio.a
    a.write("one.png", b"one" * 1000)
    a.write("two.png", b"two" * 1000)
    a.regen("add", ".")
    studio.publish(a, "media")
    assert json.loads(a.regen("remote", "check", "--all", "--json").stdout)["remotes"][0]["objects"] == 2
    overwrite(studio.object_path(b"one" * 1000), b"0ne" * 1000)
    assert a.regen("remote", "check").returncode == 0  # the round trip alone
    done = a.regen("remote", "check", "studio", "--objects", check=False)
    assert done.returncode == 6
    assert studio.object_path(b"one" * 1000).name in done.stdout
    assert "remote studio" in done.stderr


def test_check_of_a_remote_that_is_not_there(studio):
    studio.store.rename(studio.base / "unmounted")
    done = studio.a.regen("remote", "check", check=False)
    assert done.returncode == 5
    assert "studio" in done.stderr and "hint" in done.stderr
    assert not studio.store.exists()  # an empty folder in its place would look like a remote that lost everything


# -- durability ----------------------------------------------------------------------------------------------------


def open_workspace(project):
    return Workspace.open(str(project.root), project.env)


def test_durable_means_there_now_and_verified_once(studio):
    a = studio.a
    a.write("one.png", b"one" * 1000)
    a.regen("add", ".")
    studio.publish(a, "media")
    ws = open_workspace(a)
    hash = next(iter(studio.objects()))
    assert holds_durably(ws, [hash, "0" * 64]) == {hash}
    studio.object_path(b"one" * 1000).unlink()
    assert holds_durably(ws, [hash]) == set()


def test_a_name_that_somebody_put_there_is_no_durable_copy(studio):
    """Whoever can write to the store could make gc evict the only good copy."""
    a = studio.a
    a.write("one.png", b"one" * 1000)
    a.regen("add", ".")
    path = studio.object_path(b"one" * 1000)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"anything")
    a.commit("media")
    a.regen("push")
    assert holds_durably(open_workspace(a), [path.parent.name + path.name]) == set()
    assert object_path(a.user.keep, path.parent.name + path.name).exists()
    assert a.regen("remote", "check", "--all", check=False).returncode == 6


def test_what_a_durable_remote_got_leaves_keep(studio):
    a = studio.a
    a.write("one.png", b"one" * 1000)
    a.write("pinned.png", b"pin" * 1000)
    a.regen("add", ".")
    assert len(list((a.user.keep / "v1" / "objects").glob("*/*"))) == 2
    ws = open_workspace(a)
    from regen_vcs.engine.pins import pin

    pin(ws, studio.object_path(b"pin" * 1000).parent.name + studio.object_path(b"pin" * 1000).name)
    studio.publish(a, "media")
    assert object_path(a.user.cache, studio.object_path(b"one" * 1000).parent.name + studio.object_path(b"one" * 1000).name).exists()
    assert [each.read_bytes() for each in (a.user.keep / "v1" / "objects").glob("*/*")] == [b"pin" * 1000]
    assert statuses(a)["one.png"]["state"] == "ok"
    assert (a.user.cache / "CACHEDIR.TAG").exists()


def test_a_remote_that_is_not_durable_lets_keep_alone(tmp_path):
    studio = Studio(tmp_path, durable=False)
    studio.a.write("one.png", b"one" * 1000)
    studio.a.regen("add", ".")
    studio.publish(studio.a, "media")
    assert len(studio.objects()) == 1
    assert len(list((studio.a.user.keep / "v1" / "objects").glob("*/*"))) == 1
    assert holds_durably(open_workspace(studio.a), studio.objects()) == set()


# -- prune ---------------------------------------------------------------------------------------------------------


def prune(project, *argv, **kwargs):
    done = project.regen("remote", "prune", "studio", *argv, "--json", **kwargs)
    return json.loads(done.stdout)


def test_prune_takes_what_no_declared_repository_has_and_only_after_the_grace(studio):
    a = studio.a
    a.write("kept.png", b"kept" * 1000)
    a.write("gone.png", b"gone" * 1000)
    (a.root / "frames").mkdir()
    a.write("frames/1.bin", b"frame" * 100)
    a.regen("add", "kept.png", "gone.png")
    a.regen("add", "--as-one", "frames")
    studio.publish(a, "media")
    b = studio.clone()
    b.git("switch", "-qc", "b-only")
    b.write("b.png", b"b" * 5000)
    b.regen("add", "b.png")
    b.commit("only in b")
    b.regen("push")
    a.regen("rm", "gone.png")
    a.commit("gone")

    assert prune(a)["objects"] == []  # history still names it; b's is young
    assert prune(a, "--repo", str(b.root), "--grace", "0s")["objects"] == []
    dangling = studio.store / "v1" / "objects" / "ab" / ("c" * 62)
    dangling.parent.mkdir(exist_ok=True)
    dangling.write_bytes(b"nobody's")
    first = prune(a, "--repo", str(b.root), "--apply")
    assert (first["objects"], first["young"]) == ([], 1)
    assert dangling.exists()
    second = prune(a, "--repo", str(b.root), "--grace", "0s", "--apply")
    assert [each["hash"] for each in second["objects"]] == ["blake3:ab" + "c" * 62]
    assert not dangling.exists()
    assert studio.object_path(b"b" * 5000).exists() and studio.object_path(b"frame" * 100).exists()
    # And b, not declared, loses what it alone has: that is why all of them are to be named.
    assert [each["hash"][7:9] for each in prune(a, "--grace", "0s")["objects"]] == [studio.object_path(b"b" * 5000).parent.name]


def test_prune_refuses_what_it_cannot_read(studio, tmp_path):
    a = studio.a
    a.write("kept.png", b"kept" * 1000)
    a.regen("add", ".")
    studio.publish(a, "media")
    a.commit("empty") if a.git("status", "--porcelain").stdout else None
    shallow = tmp_path / "shallow"
    a.git("commit", "-q", "--allow-empty", "-m", "more")
    a.git("push", "-q")
    a.git("clone", "-q", "--depth", "1", f"file://{studio.hub}", str(shallow))
    for repo in (shallow, tmp_path / "nowhere", tmp_path):
        assert a.regen("remote", "prune", "studio", "--repo", str(repo), "--grace", "0s", "--apply", check=False).returncode != 0
    assert len(studio.objects()) == 1
    assert prune(a, "--repo", str(studio.hub), "--grace", "0s", "--apply")["objects"] == []  # a bare one will do


# -- configuration -------------------------------------------------------------------------------------------------


def test_a_broken_remote_in_git_config_stops_no_checkout(studio):
    a = studio.a
    a.write("one.png", b"one" * 1000)
    a.regen("add", ".")
    a.commit("one")
    a.git("config", "regen.remote.broken.durable", "perhaps")
    a.path("one.png").unlink()
    a.regen("sync")
    assert a.path("one.png").read_bytes() == b"one" * 1000
    a.path("one.png").unlink()
    shutil.rmtree(a.user.keep)
    assert a.regen("sync", check=False).returncode == 3  # now a remote is asked for
    assert a.regen("push", check=False).returncode == 3


def test_no_secret_of_a_hand_written_url_is_shown(studio):
    studio.a.git("config", "regen.remote.x.url", "https://me:geheim@host.invalid/p")
    for argv in (("remote", "list"), ("remote", "check"), ("push",)):
        done = studio.a.regen(*argv, check=False, timeout=60)
        assert "geheim" not in done.stdout + done.stderr, argv
