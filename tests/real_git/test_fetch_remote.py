"""What comes from remotes: by git itself, by `fetch`, in what order, and what of a hostile store never does."""

from __future__ import annotations

import json
import random
import shutil
import sys
import time
from contextlib import ExitStack

import pytest
from blake3 import blake3

from regen_vcs.model.canonical import canonical_bytes
from tests.real_git.silent import dripping_server, silent_server
from tests.real_git.studio import Studio, object_path, overwrite, statuses

TEXTURE = ("--generator", "texture", "--param", "width=32", "--param", "height=32")


@pytest.fixture
def studio(tmp_path):
    return Studio(tmp_path)


def hash_of(data: bytes) -> str:
    return blake3(data).hexdigest()


def empty_stores(project) -> None:
    for store in (project.user.keep, project.user.cache):
        shutil.rmtree(store, ignore_errors=True)


def notes(project, path: str) -> list[str]:
    return json.loads(project.regen("explain", path, "--json").stdout)["notes"]


# -- two clones, one store -----------------------------------------------------------------------------------------


def test_a_pull_brings_media_and_runs_nothing(studio):
    """b has no trust in a's generator, and could not run it either."""
    a = studio.a
    a.write("tools/make.py", b"import sys; open(sys.argv[1], 'wb').write(b'made by a program' * 100)\n")
    a.write("regen.toml", b'[generators.make]\nuses = "command"\nargv = ["python3", "{code}/make.py", "{output}"]\ncode = ["tools/make.py"]\n')
    a.git("add", "-A")
    a.regen("trust", "--yes")
    b = studio.clone()
    a.regen("generate", "made.bin", "--generator", "command:make")
    a.write("plate.png", b"plate" * 1000)
    a.regen("add", "plate.png")
    studio.publish(a, "media")
    b.env["PATH"] = "/usr/bin:/bin"  # git; no Python of ours by name
    done = b.git("pull", "-q")
    assert b.path("made.bin").read_bytes() == b"made by a program" * 100
    assert b.path("plate.png").read_bytes() == b"plate" * 1000
    assert "missing" not in done.stderr
    assert {each["state"] for each in statuses(b).values()} == {"ok"}
    assert not (b.user.keep / "v1" / "results").exists()  # an observation of a's is none of b's
    assert json.loads(b.regen("queue", "--json").stdout)["jobs"] == []


def test_what_a_durable_remote_gave_is_cache_and_what_another_gave_is_keep(tmp_path):
    for durable, where in ((True, "cache"), (False, "keep")):
        studio = Studio(tmp_path / where, durable=durable)
        studio.a.write("plate.png", b"plate" * 1000)
        studio.a.regen("add", ".")
        studio.publish(studio.a, "plate")
        b = studio.clone()
        assert object_path(getattr(b.user, where), hash_of(b"plate" * 1000)).exists()


def test_going_to_and_fro_between_branches(studio):
    a = studio.a
    for branch in ("one", "two"):
        a.git("switch", "-qc", branch, "main")
        for number in range(5):
            a.write(f"shots/{number}.png", f"{branch} {number}".encode() * 500)
        a.regen("add", "shots")
        a.commit(branch)
        a.git("push", "-q", "origin", branch)
    b = studio.clone()
    for branch in ("one", "two", "one"):
        done = b.git("switch", "-q", branch)
        assert (done.stderr, b.path("shots/3.png").read_bytes()) == ("", f"{branch} 3".encode() * 500)
    b.git("switch", "-q", "main")
    assert not b.path("shots").exists()


def test_a_fresh_clone_with_the_filter_alone(studio):
    """install --global, and a remote in the user's own configuration: media come with the clone."""
    a = studio.a
    a.write("plate.png", b"plate" * 1000)
    a.regen("add", ".")
    studio.publish(a, "plate")
    b = studio.clone("c", remote=False)
    b.regen("install", "--global")
    b.git("config", "--global", "regen.remote.studio.url", str(studio.store))
    b.git("clone", "-q", str(studio.hub), "again", cwd=b.root.parent)
    assert (b.root.parent / "again" / "plate.png").read_bytes() == b"plate" * 1000


def test_directories_and_sequences_whose_files_are_here_in_part(studio):
    a = studio.a
    for number in range(1, 6):
        a.write(f"set/{number}.bin", f"part {number}".encode() * 100)
    a.regen("add", "--as-one", "set")
    studio.publish(a, "set")
    b = studio.clone()
    shutil.rmtree(b.root / "set")
    object_path(b.user.cache, hash_of(b"part 3" * 100)).unlink()
    b.regen("sync")
    assert b.path("set/3.bin").read_bytes() == b"part 3" * 100


def test_in_place_media_come_with_clone_and_pull(studio):
    a = studio.a
    a.regen("track", "--in-place", "*.psd")
    a.write("paint.psd", b"layers" * 1000)
    studio.publish(a, "in place")
    b = studio.clone()
    assert b.path("paint.psd").read_bytes() == b"layers" * 1000
    a.write("paint.psd", b"retouched" * 1000)
    a.write("more.psd", b"more" * 1000)
    studio.publish(a, "more")
    done = b.git("pull", "-q")
    assert b.path("paint.psd").read_bytes() == b"retouched" * 1000, done.stderr
    assert b.path("more.psd").read_bytes() == b"more" * 1000
    assert "missing" not in done.stderr
    assert b.git("status", "--porcelain").stdout == ""


# -- fetch ---------------------------------------------------------------------------------------------------------


def test_fetch_of_paths_of_everything_and_of_all_refs(studio):
    a = studio.a
    for name in ("one.png", "two.png", "sub/three.png"):
        a.write(name, name.encode() * 500)
    a.regen("add", ".")
    a.commit("main")
    a.git("switch", "-qc", "other")
    a.write("one.png", b"another" * 500)
    a.regen("add", ".")
    a.commit("other")
    a.git("push", "-q", "origin", "main", "other")
    b = studio.clone("b", remote=False)
    b.git("fetch", "-q", "origin", "other:other")
    b.git("pull", "-q")
    studio.add_remote(b)
    assert b.regen("fetch", "sub").stdout == "fetched  sub/three.png\n"
    assert not b.path("one.png").exists()
    document = json.loads(b.regen("fetch", "--all-refs", "--json").stdout)
    assert {each["path"] for each in document["assets"]} == {"one.png", "two.png"}
    assert document["stored"] == 1
    assert object_path(b.user.cache, hash_of(b"another" * 500)).exists()
    assert b.regen("fetch").stdout == "nothing to fetch\n"


def test_fetch_from_the_first_remote_that_has_it_and_past_one_that_is_away(studio, tmp_path):
    a = studio.a
    a.write("plate.png", b"plate" * 1000)
    a.regen("add", ".")
    studio.publish(a, "plate")
    b = studio.clone("b", remote=False)
    b.git("pull", "-q")
    b.regen("remote", "add", "away", str(tmp_path / "away"))
    shutil.rmtree(tmp_path / "away")
    b.regen("remote", "add", "empty", str(tmp_path / "empty"))
    studio.add_remote(b)
    done = b.regen("fetch", check=False)
    assert b.path("plate.png").read_bytes() == b"plate" * 1000
    assert done.returncode == 5 and "away" in done.stderr
    b.path("plate.png").unlink()
    empty_stores(b)
    assert b.regen("fetch", "--from", "empty", check=False).returncode == 1
    assert b.regen("fetch", "--from", "nobody", check=False).returncode == 2
    b.regen("fetch", "--from", "studio")


def test_what_has_arrived_is_not_fetched_again(studio):
    a = studio.a
    for number in range(6):
        a.write(f"{number}.png", f"{number}".encode() * 500)
    a.regen("add", ".")
    studio.publish(a, "six")
    b = studio.clone("b", remote=False)
    studio.add_remote(b)
    studio.object_path(b"3" * 500).rename(studio.base / "aside")
    assert b.regen("fetch", check=False).returncode == 1
    assert sum(b.path(f"{number}.png").exists() for number in range(6)) == 5
    (studio.base / "aside").rename(studio.object_path(b"3" * 500))
    for number in (0, 1, 2, 4, 5):
        studio.object_path(f"{number}".encode() * 500).unlink()
    assert b.regen("fetch").stdout == "fetched  3.png\n"


# -- policy --------------------------------------------------------------------------------------------------------


def test_a_definition_that_is_not_current_is_fetched(studio):
    a = studio.a
    a.write("make.py", b"import sys; open(sys.argv[1], 'wb').write(b'first' * 100)\n")
    a.write("regen.toml", b'[generators.make]\nuses = "command"\nargv = ["python3", "{code}/make.py", "{output}"]\ncode = ["make.py"]\n')
    a.git("add", "-A")
    a.regen("trust", "--yes")
    a.regen("generate", "made.bin", "--generator", "command:make")
    studio.publish(a, "made")
    a.write("make.py", b"import sys; open(sys.argv[1], 'wb').write(b'second' * 100)\n")
    a.git("add", "-A")
    a.regen("trust", "--yes")
    a.path("made.bin").unlink()
    empty_stores(a)
    a.regen("sync")
    assert a.path("made.bin").read_bytes() == b"first" * 100


@pytest.mark.parametrize(("policy", "comes"), [("regenerate", True), ("fetch", True), ("leave", False)])
def test_checkout_missing(studio, policy, comes):
    a = studio.a
    a.write("plate.png", b"plate" * 1000)
    a.regen("generate", "sky.png", *TEXTURE)
    a.regen("add", "plate.png")
    studio.publish(a, "media")
    b = studio.clone("b")
    b.git("switch", "-qc", "empty", "HEAD~1")
    b.git("config", "regen.checkoutMissing", policy)
    empty_stores(b)
    shutil.rmtree(b.root / ".git/regen/spare", ignore_errors=True)
    done = b.git("switch", "-q", "main")
    assert b.path("plate.png").exists() == comes, done.stderr
    assert b.path("sky.png").exists() == comes
    assert ("missing" in done.stderr) != comes
    b.regen("sync")  # by hand it comes whatever that says
    assert b.path("plate.png").exists() and b.path("sky.png").exists()


def test_only_fetch_does_not_regenerate(studio):
    a = studio.a
    a.regen("generate", "sky.png", *TEXTURE)
    a.commit("not pushed")
    a.git("switch", "-qc", "empty", "HEAD~1")
    empty_stores(a)
    shutil.rmtree(a.root / ".git/regen/spare", ignore_errors=True)
    a.git("config", "regen.checkoutMissing", "fetch")
    assert "1 to regenerate" in a.git("switch", "-q", "main").stderr
    a.git("switch", "-q", "empty")
    a.git("config", "regen.checkoutMissing", "regenerate")
    assert "missing" not in a.git("switch", "-q", "main").stderr
    assert a.path("sky.png").exists()


def test_a_long_fetch_is_priced_and_left(studio):
    a = studio.a
    a.write("plate.png", b"one" * 1000)
    a.regen("add", ".")
    studio.publish(a, "one")
    b = studio.clone()
    a.write("plate.png", b"two" * 1000)
    a.regen("add", ".")
    studio.publish(a, "two")
    b.git("config", "regen.checkoutWait", "0s")
    done = b.git("pull", "-q")
    assert "1 asset missing: 1 to fetch (" in done.stderr and "regen-vcs fetch" in done.stderr
    assert not b.path("plate.png").exists()  # the old bytes would be a lie under this name
    assert b.regen("sync", "--dry-run").stdout.startswith("would fetch plate.png")
    b.regen("fetch")
    assert b.path("plate.png").read_bytes() == b"two" * 1000


def test_a_replay_of_commits_fetches_nothing(studio):
    a = studio.a
    a.write("plate.png", b"one" * 1000)
    a.regen("add", ".")
    studio.publish(a, "one")
    b = studio.clone()
    b.git("switch", "-qc", "work", "HEAD~1")
    empty_stores(b)
    shutil.rmtree(b.root / ".git/regen/spare", ignore_errors=True)
    for number in range(3):
        b.write(f"note{number}.txt", b"x")
        b.commit(f"note {number}")
    b.git("-c", "sequence.editor=true", "rebase", "-q", "-i", "--exec", "test ! -e plate.png", "main")
    b.regen("sync")
    assert b.path("plate.png").exists()


# -- servers that are away -----------------------------------------------------------------------------------------


def test_dead_servers_cost_a_checkout_two_seconds_and_are_named_once(studio):
    a = studio.a
    for number in range(40):
        a.write(f"{number}.png", f"{number}".encode() * 500)
    a.regen("add", ".")
    studio.publish(a, "forty")
    b = studio.clone("b", remote=False)
    b.git("switch", "-qc", "empty", "HEAD~1")
    began = time.monotonic()
    b.git("switch", "-q", "main")
    without = time.monotonic() - began
    b.git("switch", "-q", "empty")
    with ExitStack() as servers:
        for name in ("one", "two", "three"):
            b.git("config", f"regen.remote.{name}.url", servers.enter_context(silent_server()))
        began = time.monotonic()
        done = b.git("switch", "-q", "main")
        took = time.monotonic() - began
    assert took < without + 2.0 + 1.5  # the client's own imports, on a machine that is busy
    assert all(f"remote {name} cannot be reached" in done.stderr for name in ("one", "two", "three")), done.stderr
    assert "40 assets missing" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 4, done.stderr


def test_an_unreachable_remote_by_hand_is_exit_5(studio):
    a = studio.a
    a.write("plate.png", b"one" * 1000)
    a.regen("add", ".")
    studio.publish(a, "one")
    a.path("plate.png").unlink()
    empty_stores(a)
    studio.store.rename(studio.base / "away")
    for verb in ("sync", "fetch"):
        done = a.regen(verb, check=False)
        assert done.returncode == 5, (verb, done.stderr)
        assert "studio" in done.stderr
    (studio.base / "away").rename(studio.store)
    a.regen("sync")
    assert a.path("plate.png").exists()


# -- a hostile store -----------------------------------------------------------------------------------------------


def test_wrong_bytes_under_a_name_are_refused_and_the_remote_named(studio, tmp_path):
    a = studio.a
    a.write("plate.png", b"plate" * 1000)
    a.write("fine.png", b"fine" * 1000)
    a.regen("add", ".")
    studio.publish(a, "media")
    overwrite(studio.object_path(b"plate" * 1000), b"PLATE" * 1000)
    b = studio.clone()
    sidecar = b.path("plate.png.regen.json").read_bytes()
    assert b.path("fine.png").exists() and not b.path("plate.png").exists()
    for verb in ("sync", "fetch"):
        done = b.regen(verb, check=False)
        assert done.returncode == 6 and "remote studio" in done.stderr and "plate.png" in done.stderr, done.stderr
    assert not object_path(b.user.cache, hash_of(b"plate" * 1000)).exists()
    assert not object_path(b.user.cache, hash_of(b"PLATE" * 1000)).exists()
    assert b.path("plate.png.regen.json").read_bytes() == sidecar
    a.regen("remote", "add", "honest", str(tmp_path / "honest"))
    a.regen("push", "--to", "honest")
    b.regen("remote", "add", "honest", str(tmp_path / "honest"))
    assert b.regen("sync").returncode == 0  # the next remote has it right
    assert b.path("plate.png").read_bytes() == b"plate" * 1000


def test_an_object_larger_than_its_recipe_says_is_not_taken_in(studio):
    a = studio.a
    a.write("plate.png", b"plate" * 1000)
    a.regen("add", ".")
    studio.publish(a, "media")
    with open(studio.object_path(b"plate" * 1000), "r+b") as file:
        file.truncate(1 << 40)  # a terabyte of nothing
    b = studio.clone()
    began = time.monotonic()
    done = b.regen("sync", check=False, timeout=60)
    assert done.returncode == 6 and "studio" in done.stderr
    assert time.monotonic() - began < 20
    assert sum(each.stat().st_blocks for each in b.user.base.rglob("*") if each.is_file()) < 1 << 20


def test_a_manifest_that_leaves_its_folder(studio):
    """It cannot even be pushed by us; somebody who writes by hand finds it refused."""
    a = studio.a
    a.write("set/1.bin", b"part")
    a.regen("add", "--as-one", "set")
    evil = b'{"files":[{"hash":"blake3:%s","name":"../../evil","size":4}],"regen-manifest":1}' % hash_of(b"part").encode()
    sidecar = json.loads(a.path("set.regen.json").read_text())
    sidecar["output"]["hash"] = f"blake3:{hash_of(evil)}"
    a.path("set.regen.json").write_text(json.dumps(sidecar))
    a.git("add", "-A")
    a.git("commit", "-q", "--no-verify", "-m", "evil")
    a.git("push", "-q")
    object_path(studio.store, hash_of(evil)).parent.mkdir(parents=True, exist_ok=True)
    object_path(studio.store, hash_of(evil)).write_bytes(evil)
    b = studio.clone()
    assert b.regen("sync", check=False).returncode == 3
    assert not list(b.user.base.rglob("evil"))


def offer(studio, key: str, data: bytes, at: str = "2020-01-01T00:00:00.000Z", **more) -> None:
    """A record by somebody else, with its bytes."""
    record = canonical_bytes({
        "at": at, "seconds": 0.1, "generator": "texture", "proof": "bytes", "verified": True,
        "output": {"hash": f"blake3:{hash_of(data)}", "size": len(data)}, **more,
    })
    folder = studio.store / "v1" / "results" / key[:2] / key / hash_of(data)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{hash_of(record)}.json").write_bytes(record)
    path = object_path(studio.store, hash_of(data))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def test_records_of_others_claim_nothing(studio):
    a = studio.a
    a.regen("generate", "sky.png", *TEXTURE, "--no-run")
    sidecar = a.path("sky.png.regen.json").read_bytes()
    key = statuses(a)["sky.png"]["key"]
    offer(studio, key, b"not a sky" * 100)
    assert a.regen("fetch").stdout == "nothing to fetch\n"  # mine alone count
    a.git("config", "regen.remoteTrustResults", "signed")
    done = a.regen("fetch", check=False)
    assert done.returncode == 3 and "signed" in done.stderr
    a.git("config", "regen.remoteTrustResults", "all")
    assert a.regen("fetch").stdout.startswith("proposed sky.png")
    assert statuses(a)["sky.png"]["state"] == "proposed"
    assert a.path("sky.png").read_bytes() == b"not a sky" * 100
    assert a.path("sky.png.regen.json").read_bytes() == sidecar
    assert not (a.user.keep / "v1" / "results").exists()
    a.regen("regenerate", "sky.png")  # what is made here is what this machine makes
    assert a.path("sky.png").read_bytes() != b"not a sky" * 100
    assert hash_of(b"not a sky" * 100) not in a.path("sky.png.regen.json").read_text()


def test_offers_of_ones_own_machines_stand_in(studio):
    a = studio.a
    a.regen("generate", "sky.png", *TEXTURE)
    made = a.path("sky.png").read_bytes()
    recipe = json.loads(a.path("sky.png.regen.json").read_text())
    studio.publish(a, "sky")
    b = studio.clone()
    del recipe["output"]
    b.write("again.png.regen.json", json.dumps(recipe).encode())
    b.git("add", "-A")
    assert b.regen("fetch").stdout == "nothing to fetch\n"
    (b.user.base / "config").mkdir(exist_ok=True)
    shutil.copy(a.user.base / "config" / "takes.key", b.user.base / "config" / "takes.key")
    assert "proposed again.png" in b.regen("fetch").stdout
    assert b.path("again.png").read_bytes() == made
    b.regen("accept", "again.png")
    assert statuses(b)["again.png"]["state"] == "ok"


def test_an_offer_for_a_stale_recipe_is_shown_when_asked_for(studio):
    a = studio.a
    a.git("config", "regen.remoteTrustResults", "all")
    a.regen("generate", "sky.png", *TEXTURE)
    made = a.path("sky.png").read_bytes()
    a.regen("set", "sky.png", "seed=77")
    offer(studio, statuses(a)["sky.png"]["key"], b"another sky" * 100)
    a.regen("fetch")
    assert a.path("sky.png").read_bytes() == made
    a.regen("fetch", "--offers")
    assert statuses(a)["sky.png"]["state"] == "proposed"
    a.regen("fetch")
    assert a.path("sky.png").read_bytes() == made  # the accepted one is back


# -- what is known -------------------------------------------------------------------------------------------------


def test_in_remote_is_last_known(studio):
    a = studio.a
    a.write("plate.png", b"plate" * 1000)
    a.regen("add", ".")
    assert statuses(a)["plate.png"]["in_remote"] is None
    studio.publish(a, "plate")
    assert statuses(a)["plate.png"]["in_remote"] is True
    studio.object_path(b"plate" * 1000).unlink()
    assert statuses(a)["plate.png"]["in_remote"] is True  # nobody has asked since
    a.regen("push", "--dry-run")
    assert statuses(a)["plate.png"]["in_remote"] is False
    a.regen("remote", "remove", "studio")
    assert statuses(a)["plate.png"]["in_remote"] is None


def test_a_hook_with_all_it_needs_opens_no_remote(studio):
    """Threads and the clients of stores are for those who have something to fetch."""
    a = studio.a
    a.write("plate.png", b"plate" * 1000)
    a.regen("add", ".")
    studio.publish(a, "plate")
    done = a.run(sys.executable, "-X", "importtime", "-I", "-m", "regen_vcs", "hook", "post-checkout", "0" * 40, "1" * 40, "1")
    names = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "regen_vcs.engine.sync" in names
    assert not [name for name in names if name.startswith("regen_vcs.remote") or name in ("threading", "typing", "regen_vcs.engine.remotes")]


def test_a_fetch_that_turns_out_slow_is_broken_off_and_goes_on_later(studio):
    """The estimate said a moment; a checkout does not wait for what it really takes."""
    a = studio.a
    data = {f"{number}.png": random.Random(number).randbytes(60_000) for number in range(5)}
    for name, content in data.items():
        a.write(name, content)
    a.regen("add", ".")
    studio.publish(a, "five")
    b = studio.clone("b", remote=False)
    b.git("switch", "-qc", "empty", "HEAD~1")
    with dripping_server(studio.store, seconds=6) as url:
        b.git("config", "regen.remote.slow.url", url)
        b.git("config", "regen.checkoutWait", "1s")
        began = time.monotonic()
        done = b.git("switch", "-q", "main")
        assert time.monotonic() - began < 6 + 5  # it would be as long without; a busy machine adds to it
        assert "5 to fetch" in done.stderr, done.stderr
        b.regen("fetch")
    assert {name: b.path(name).read_bytes() for name in data} == data


def test_explain_says_what_is_known_of_remotes(studio):
    a = studio.a
    a.regen("generate", "sky.png", *TEXTURE)
    studio.publish(a, "sky")
    a.path("sky.png").unlink()
    empty_stores(a)
    shutil.rmtree(a.path(".git/regen/spare"), ignore_errors=True)
    name = json.loads(a.regen("remote", "list", "--json").stdout)["remotes"][0]["name"]
    assert f"the remote {name} had its bytes when it was last asked" in notes(a, "sky.png")
    a.regen("remote", "remove", name)
    assert "no remote is set up here that could have them" in notes(a, "sky.png")
