"""The commands on assets of the second layout, with media on disk and with documents in their place."""

from __future__ import annotations

import json
import os
import shutil
import sys

import pytest
from blake3 import blake3

from regen_vcs.engine.in_place_references import documents_on_disk, takes_that_wait
from regen_vcs.engine.workspace import Workspace
from tests.conftest import Home, Project
from tests.embedded_files import png, text_chunk, texts_of_comfyui

TOOLS = f"""
[generators.twice]
uses = "command"
argv = [{json.dumps(sys.executable)}, "{{code}}/twice.py", "{{inputs.image}}", "{{output}}", "{{params.end}}"]
code = ["tools/twice.py"]
[generators.twice.params]
end = {{ type = "string", default = "" }}

[generators.dice]
uses = "command"
argv = [{json.dumps(sys.executable)}, "{{code}}/dice.py", "{{output}}"]
code = ["tools/dice.py"]
"""
TWICE = (
    b"import sys\n"
    b"if sys.argv[3] == 'fail': sys.exit('no twice today')\n"
    b"open(sys.argv[2], 'wb').write(open(sys.argv[1], 'rb').read() * 2 + sys.argv[3].encode())\n"
)
DICE = b"import os, sys\nopen(sys.argv[1], 'wb').write(b'pixels ' + os.urandom(8).hex().encode())\n"
PLATE = b"a plate \0" * 40


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """In place: plate.png (a source asset), sky.png (texture), shots/double.png (made from plate.png), roll.png (never the
    same twice). Beside a sidecar: four.tga, made from shots/double.png."""
    project = Home(tmp_path_factory.mktemp("template")).repo()
    project.regen("track", "--in-place", "*.png")
    project.write("tools/twice.py", TWICE)
    project.write("tools/dice.py", DICE)
    project.path("regen.toml").write_text(project.path("regen.toml").read_text() + TOOLS)
    project.write("plate.png", PLATE)
    project.git("add", "-A")
    project.regen("trust", "--yes")
    project.regen(
        "generate", "sky.png", "-g", "texture", "-p", "kind=fbm", "-p", "width=16", "-p", "height=8", "-p", "seed=1", "--tag", "hero"
    )
    project.regen("generate", "shots/double.png", "-g", "command:twice", "-i", "image=plate.png")
    project.regen("generate", "roll.png", "-g", "command:dice")
    project.regen("generate", "four.tga", "-g", "command:twice", "-i", "image=shots/double.png")
    project.commit("film")
    return project


@pytest.fixture
def film(template, home):
    shutil.copytree(template.root, home.work / "film", symlinks=True)
    shutil.copytree(template.user.keep, home.keep)
    shutil.copytree(template.user.cache, home.cache)
    shutil.copytree(template.user.base / "config", home.base / "config")
    project = Project(home, home.work / "film")
    project.git("update-index", "-q", "--refresh")
    return project


def to_documents(film, *names: str) -> None:
    """As a clone without the tool has them: the document in the picture's place."""
    for name in names or ("plate.png", "sky.png", "shots/double.png", "roll.png"):
        film.path(name).write_text(staged_text(film, name))


@pytest.fixture(params=["media", "documents"])
def either(request, film):
    if request.param == "documents":
        to_documents(film)
    return film


def lose_stores(film) -> None:
    """All bytes are gone; records and recipes too."""
    for store in (film.user.keep, film.user.cache):
        if store.exists():
            store.rename(f"{store}-away")


def staged_text(film, name: str, revision: str = "") -> str:
    return film.git("cat-file", "blob", f"{revision}:{name}").stdout


def staged(film, name: str, revision: str = "") -> dict:
    return json.loads(staged_text(film, name, revision))


def hash_of(data: bytes) -> str:
    return "blake3:" + blake3(data).hexdigest()


def on_disk(film, name: str) -> str:
    return hash_of(film.path(name).read_bytes())


def changes(film) -> str:
    return film.git("status", "--porcelain").stdout


def assert_shown(film, name: str) -> None:
    """The accepted bytes are on disk, and git takes them for what it has staged."""
    assert on_disk(film, name) == staged(film, name)["output"]["hash"]
    assert film.git("diff", "--name-only", "--", name).stdout == ""
    assert film.status()[name] == "ok"


# --- generate ----------------------------------------------------------------------------------------------------


def test_generate_stages_the_document_and_shows_the_picture(film):
    document = staged(film, "sky.png")
    assert document["generator"] == "texture" and document["params"]["seed"] == 1 and document["meta"]["tags"] == ["hero"]
    assert not film.path("sky.png.regen.json").exists()
    assert_shown(film, "sky.png")
    first = film.path("sky.png").read_bytes()
    film.git("switch", "-qc", "two")
    film.regen("generate", "sky.png", "-g", "texture", "-p", "kind=fbm", "-p", "width=16", "-p", "height=8", "-p", "seed=2")
    assert changes(film) == "M  sky.png\n"
    assert staged(film, "sky.png")["meta"]["tags"] == ["hero"], "what stood beside the recipe stays"
    film.git("commit", "-qm", "two")
    film.git("switch", "-q", "main")
    assert film.path("sky.png").read_bytes() == first
    assert_shown(film, "sky.png")


def test_generate_no_run_leaves_a_pending_document(film):
    done = film.regen("generate", "new/neu ü.png", "--no-run", "-g", "command:twice", "-i", "image=plate.png")
    assert "staged" in done.stdout and ".regen.json" not in done.stdout
    assert film.status()["new/neu ü.png"] == "pending"
    assert json.loads(film.path("new/neu ü.png").read_text()) == staged(film, "new/neu ü.png")
    film.regen("regenerate")
    assert film.path("new/neu ü.png").read_bytes() == PLATE * 2
    assert_shown(film, "new/neu ü.png")


def test_generate_over_documents(film):
    to_documents(film)
    film.regen("generate", "sky.png", "-g", "texture", "-p", "kind=fbm", "-p", "width=8", "-p", "height=8", "-p", "seed=2")
    assert_shown(film, "sky.png")
    assert film.status()["plate.png"] == "missing"


def test_generate_rescues_what_git_did_not_know(film):
    film.write("new.png", b"painted, and never added")
    film.regen("generate", "new.png", "-g", "command:twice", "-i", "image=plate.png")
    assert_shown(film, "new.png")
    assert "new.png" in film.regen("rescued").stdout
    film.regen("rescued", blake3(b"painted, and never added").hexdigest()[:8], "--to", "back.bin")
    assert film.path("back.bin").read_bytes() == b"painted, and never added"


def test_generate_over_raw_history_is_refused(film):
    film.regen("untrack", "--in-place", "*.png")
    film.write("raw.png", b"raw \0")
    film.git("add", "raw.png")
    film.regen("track", "--in-place", "*.png")
    done = film.regen("generate", "raw.png", "-g", "command:dice", check=False)
    assert done.returncode == 3 and "renormalize" in done.stderr


def test_a_sequence_stays_with_its_sidecar(film):
    film.write("shots/walk.0001.png", b"1")
    film.write("shots/walk.0002.png", b"2")
    film.regen("add", "shots/walk.####.png")
    assert film.path("shots/walk.####.png.regen.json").exists()
    assert film.status()["shots/walk.####.png"] == "ok"


# --- set, show, explain ------------------------------------------------------------------------------------------


def test_set_stages_the_change_and_regenerate_makes_it(either):
    shown = either.path("sky.png").read_bytes()
    done = either.regen("set", "sky.png", "seed=3")
    assert "params.seed: 1 → 3" in done.stdout
    before = staged(either, "sky.png", "HEAD")
    after = staged(either, "sky.png")
    assert after["params"]["seed"] == 3 and after["output"] == before["output"]
    if shown.startswith(b"{"):
        assert either.path("sky.png").read_text() == staged_text(either, "sky.png")
    else:
        assert either.path("sky.png").read_bytes() == shown
    state = next(each for each in json.loads(either.regen("status", "--json").stdout)["assets"] if each["path"] == "sky.png")
    assert state["state"] == ("missing" if shown.startswith(b"{") else "stale") and "recipe" in state["reason"]
    either.regen("regenerate", "sky.png")
    assert_shown(either, "sky.png")
    assert staged(either, "sky.png")["output"]["hash"] != before["output"]["hash"]


def test_what_set_staged_can_be_taken_back(film):
    film.regen("set", "sky.png", "seed=3")
    film.git("restore", "--staged", "sky.png")
    assert changes(film) == ""
    assert film.status()["sky.png"] == "ok"


def test_set_of_a_source_asset_is_refused(either):
    done = either.regen("set", "plate.png", "seed=3", check=False)
    assert done.returncode == 2 and "source asset" in done.stderr
    assert either.git("diff", "--cached", "--name-only").stdout == ""


def test_set_waits_for_no_lock_of_git(film):
    film.path(".git/index.lock").write_bytes(b"")
    done = film.regen("set", "sky.png", "seed=3", check=False)
    assert done.returncode == 1 and "index.lock" in done.stderr and "Traceback" not in done.stderr
    film.path(".git/index.lock").unlink()
    assert changes(film) == ""


def test_set_without_the_filter_is_refused(film):
    film.git("config", "--unset-all", "filter.regen-inplace.process")
    done = film.regen("set", "sky.png", "seed=3", check=False)
    assert done.returncode == 1 and "regen-vcs init" in done.stderr
    assert staged(film, "sky.png")["params"]["seed"] == 1


def test_show(either):
    told = json.loads(either.regen("show", "shots/double.png", "--json").stdout)
    assert told["generator"] == "command:twice" and told["sidecar"] == "shots/double.png"
    assert [(each["path"], each["kind"]) for each in told["inputs"]] == [("plate.png", "asset")]
    assert told["in_store"] and told["committed"] and told["commit"]["subject"] == "film"
    assert [take["accepted"] for take in told["takes"]] == [True]
    either.regen("set", "shots/double.png", "end=!")
    assert not json.loads(either.regen("show", "shots/double.png", "--json").stdout)["committed"]


def test_explain(either):
    either.regen("set", "sky.png", "seed=3")
    either.git("commit", "-qm", "seed", "--no-verify")  # the hook refuses it: it is stale
    told = json.loads(either.regen("explain", "sky.png", "--json").stdout)
    assert told["changes"] == ["params.seed: 1 → 3"]
    assert "accepts the result" in told["on_regenerate"]
    shown = either.path("sky.png").read_bytes().startswith(b"\x89PNG")
    assert told["on_sync"] == ("leaves it as it is" if shown else "brings the accepted bytes from the store")


def test_a_changed_input_is_told_with_what_it_was(film):
    film.write("plate.png", b"another plate")
    film.git("commit", "-qam", "another plate")
    told = json.loads(film.regen("explain", "shots/double.png", "--json").stdout)
    assert told["state"] == "stale"
    assert len(told["changes"]) == 1 and told["changes"][0].startswith("inputs.image (plate.png): blake3:")


# --- regenerate, sync, fetch, accept -----------------------------------------------------------------------------


def test_sync_and_regenerate_missing_make_what_is_nowhere(film):
    accepted = on_disk(film, "sky.png")
    to_documents(film)
    lose_stores(film)
    assert film.status()["sky.png"] == "missing"
    done = film.regen("regenerate", "--missing", "sky.png")
    assert "restored sky.png" in done.stdout
    assert on_disk(film, "sky.png") == accepted and film.git("diff", "--cached", "--name-only").stdout == ""
    film.regen("sync", check=False)
    assert film.status()["plate.png"] == "missing", "a source asset: nobody can make it"
    assert film.path("plate.png").read_text() == staged_text(film, "plate.png")


def test_sync_dry_run_says_and_does_nothing(film):
    to_documents(film, "sky.png", "plate.png")
    lose_stores(film)
    done = film.regen("sync", "--dry-run")
    assert "sky.png" in done.stdout and film.path("sky.png").read_text() == staged_text(film, "sky.png")


def test_stale_things_are_made_again_in_order(film):
    film.write("plate.png", b"xy")
    film.git("commit", "-qam", "another plate")
    assert film.status()["shots/double.png"] == "stale"
    film.regen("regenerate", "--stale", "--with-dependents")
    assert film.path("shots/double.png").read_bytes() == b"xyxy"
    assert film.path("four.tga").read_bytes() == b"xyxyxyxy"
    assert_shown(film, "shots/double.png")
    assert film.status()["four.tga"] == "ok"


def test_an_input_in_place_counts_by_its_accepted_bytes(film):
    film.regen("generate", "strip.tga", "-g", "command:twice", "-i", "image=plate.png")
    assert film.path("strip.tga").read_bytes() == PLATE * 2
    film.git("add", "-A")
    film.git("commit", "-qm", "strip")  # the hook finds that the key follows
    to_documents(film, "plate.png")
    film.path("strip.tga").unlink()
    assert film.status()["strip.tga"] == "missing"
    film.write("plate.png", b"an edit that is not added")
    assert film.status()["strip.tga"] == "missing"
    film.git("add", "plate.png")
    assert "changed" in next(
        each["reason"] for each in json.loads(film.regen("status", "--json").stdout)["assets"] if each["path"] == "strip.tga"
    )


def test_another_result_is_noted_and_accepted_only_by_accept(either):
    accepted, shown = staged(either, "roll.png"), on_disk(either, "roll.png")
    done = either.regen("regenerate", "roll.png")
    assert "drifted" in done.stdout
    assert either.status()["roll.png"] == "drifted"
    assert on_disk(either, "roll.png") == shown and staged(either, "roll.png") == accepted
    either.git("commit", "-qam", "nothing of it", check=False)
    assert staged(either, "roll.png") == accepted, "commit -a accepts nothing"
    assert set(takes_that_wait(Workspace.open(str(either.root), either.env))) == {"roll.png"}
    done = either.regen("accept", "roll.png")
    assert "accepted" in done.stdout
    after = staged(either, "roll.png")
    assert after["output"]["hash"] not in (accepted["output"]["hash"], shown) and after["output"]["key"] == accepted["output"]["key"]
    assert_shown(either, "roll.png")
    assert takes_that_wait(Workspace.open(str(either.root), either.env)) == {}
    either.git("restore", "-SW", "roll.png")
    assert on_disk(either, "roll.png") == accepted["output"]["hash"], "the old take is still there"


def test_fetch_brings_the_accepted_take_and_forgets_the_other(either):
    accepted = staged(either, "roll.png")["output"]["hash"]
    either.regen("regenerate", "roll.png")
    done = either.regen("fetch", "roll.png")
    assert "fetched" in done.stdout
    assert on_disk(either, "roll.png") == accepted and either.status()["roll.png"] == "ok"
    assert "nothing to fetch" in either.regen("fetch", "roll.png").stdout


def test_fetch_leaves_an_edit_and_rescues_it_by_force(film):
    film.write("sky.png", b"painted over")
    assert "edited" in film.regen("fetch", "sky.png").stderr
    assert film.path("sky.png").read_bytes() == b"painted over"
    film.regen("fetch", "--force", "sky.png")
    assert_shown(film, "sky.png")
    assert [each["path"] for each in json.loads(film.regen("rescued", "--json").stdout)["rescued"]] == ["sky.png"]


def test_accept_of_edited_bytes_keeps_the_recipe(film):
    film.write("sky.png", b"painted over")
    film.regen("accept", "sky.png")
    after = staged(film, "sky.png")
    assert after["generator"] == "texture" and after["output"]["hash"] == hash_of(b"painted over")
    assert_shown(film, "sky.png")
    film.write("plate.png", b"retouched")
    film.regen("accept", "plate.png")
    assert staged(film, "plate.png")["output"] == {"hash": hash_of(b"retouched"), "size": 9}
    assert_shown(film, "plate.png")


def test_accept_by_likeness(film):
    film.write("sky.png", b"no picture at all")
    done = film.regen("accept", "sky.png", "--min-score", "0.9", check=False)
    assert done.returncode == 1 and "cannot be measured" in done.stderr
    assert film.status()["sky.png"] == "modified"


def test_a_document_edited_by_hand_is_nobody_elses(film):
    text = staged_text(film, "sky.png").replace('"seed": 1', '"seed": 9')
    film.path("sky.png").write_text(text)
    for argv in (("regenerate", "sky.png"), ("fetch", "sky.png", "--force"), ("accept", "sky.png")):
        done = film.regen(*argv, check=False)
        assert done.returncode == 1 and "git restore sky.png" in done.stderr, argv
        assert film.path("sky.png").read_text() == text
    kept = dict(documents_on_disk(Workspace.open(str(film.root), film.env)))
    assert kept["sky.png"].params["seed"] == 9
    film.git("add", "sky.png")
    film.regen("regenerate", "sky.png")
    assert_shown(film, "sky.png")


def test_a_failure_is_told_with_its_log(either):
    either.regen("set", "shots/double.png", "end=fail")
    done = either.regen("regenerate", "shots/double.png", check=False)
    assert done.returncode == 1
    either.regen("sync", check=False)
    assert either.status()["shots/double.png"] == "failed"
    assert "no twice today" in either.regen("show", "--log", "shots/double.png").stdout
    either.regen("set", "shots/double.png", "end=")
    assert either.status()["shots/double.png"] == "ok"


def test_edited_bytes_are_rescued_before_regenerate(film):
    film.write("shots/double.png", b"painted over")
    film.regen("regenerate", "shots/double.png")
    assert_shown(film, "shots/double.png")
    assert "shots/double.png" in film.regen("rescued").stdout


def test_the_only_copy_of_accepted_bytes_is_kept_before_it_gives_way(film):
    accepted = film.path("shots/double.png").read_bytes()
    film.regen("set", "shots/double.png", "end=!")
    for store in (film.user.keep, film.user.cache):
        for path in store.rglob(blake3(accepted).hexdigest()[2:]):
            path.unlink()
    film.regen("regenerate", "shots/double.png")
    assert film.path("shots/double.png").read_bytes() == accepted + b"!"
    film.git("checkout", "-q", "HEAD", "--", "shots/double.png")
    assert film.path("shots/double.png").read_bytes() == accepted


# --- queue -------------------------------------------------------------------------------------------------------


def test_a_worker_proposes_and_restores(film):
    film.regen("set", "shots/double.png", "end=!")
    to_documents(film, "sky.png")
    lose_stores(film)
    shown = film.path("shots/double.png").read_bytes()
    film.regen("regenerate", "--queue", "shots/double.png", "sky.png")
    assert film.status()["shots/double.png"] == "queued"
    film.regen("worker")
    assert film.status()["shots/double.png"] == "proposed" and film.status()["sky.png"] == "ok"
    assert film.path("shots/double.png").read_bytes() == shown, "nobody has accepted it"
    film.regen("accept", "shots/double.png")
    assert film.path("shots/double.png").read_bytes() == PLATE * 2 + b"!"
    assert_shown(film, "shots/double.png")


def test_a_checkout_never_starts_a_generator(film):
    film.env["REGEN_CHECKOUT_BACKGROUND"] = "true"
    film.git("switch", "-qc", "two")
    film.git("rm", "-q", "sky.png")
    film.git("commit", "-qm", "no sky")
    lose_stores(film)
    done = film.git("switch", "-q", "main")
    assert "1 to regenerate" in done.stderr and film.path("sky.png").read_text() == staged_text(film, "sky.png")
    assert {each["state"] for each in json.loads(film.regen("queue", "--json").stdout)["jobs"]} == {"done"}


# --- mv, rm ------------------------------------------------------------------------------------------------------


def test_mv_takes_the_recipe_and_what_refers_to_it_along(either):
    was = staged(either, "shots/double.png")
    done = either.regen("mv", "plate.png", "plates/one.png")
    assert "shots/double.png" in done.stdout
    assert staged(either, "shots/double.png")["inputs"] == {"image": "../plates/one.png"}
    either.regen("mv", "shots/double.png", "double.png")
    assert staged(either, "double.png")["inputs"] == {"image": "plates/one.png"}
    assert staged(either, "double.png")["output"] == was["output"]
    assert json.loads(either.path("four.tga.regen.json").read_text())["inputs"] == {"image": "double.png"}
    states = either.status()
    assert states["four.tga"] == "ok" and states["double.png"] in ("ok", "missing")
    assert "shots/double.png" not in states and "plate.png" not in states
    either.regen("sync")
    assert_shown(either, "double.png")


def test_mv_of_a_folder_takes_what_refers_to_each_other_along(either):
    either.regen("mv", "plate.png", "shots/plate.png")
    done = either.regen("mv", "shots", "scenes/010")
    assert "moved shots/plate.png to scenes/010/plate.png" in done.stdout
    assert staged(either, "scenes/010/double.png")["inputs"] == {"image": "plate.png"}
    assert json.loads(either.path("four.tga.regen.json").read_text())["inputs"] == {"image": "scenes/010/double.png"}
    assert "rewrote the inputs of four.tga" in done.stdout and "rewrote the inputs of scenes" not in done.stdout
    assert not [path for path in either.status() if path.startswith("shots/")]
    either.regen("sync")
    assert_shown(either, "scenes/010/double.png")


def test_mv_into_the_other_layout_is_refused(film):
    film.regen("track", "--in-place", "kept/*.tga")
    done = film.regen("mv", "four.tga", "kept/four.tga", check=False)
    assert done.returncode == 2 and "in place" in done.stderr
    assert film.path("four.tga.regen.json").exists()


def test_rm_asks_for_dependants_and_rescues_edits(either):
    done = either.regen("rm", "shots/double.png", check=False)
    assert done.returncode == 1 and "four.tga" in done.stderr
    either.write("shots/double.png", b"painted over")
    either.regen("rm", "--force", "shots/double.png")
    assert not either.path("shots/double.png").exists()
    assert either.git("ls-files", "shots").stdout == ""
    assert "shots/double.png" in either.regen("rescued").stdout


# --- graph, affected, check --------------------------------------------------------------------------------------


def test_graph_and_affected(either):
    graph = json.loads(either.regen("graph", "--json").stdout)
    edges = {(each["from"], each["to"]) if "from" in each else (each["source"], each["target"]) for each in graph["edges"]}
    assert {("plate.png", "shots/double.png"), ("shots/double.png", "four.tga")} <= {tuple(each) for each in edges}
    done = either.regen("affected", "plate.png").stdout
    assert "shots/double.png" in done and "four.tga" in done and "sky.png" not in done
    either.regen("set", "sky.png", "seed=3")
    done = either.regen("affected", "--since", "HEAD").stdout
    assert "sky.png" in done and "its recipe" in done


def test_check_reads_documents(either):
    done = either.regen("check")
    assert "1 sidecar and 4 documents in place checked: all is well" in done.stdout
    either.regen("set", "sky.png", "seed=3")
    done = either.regen("check", check=False)
    assert done.returncode == 3 and "sky.png" in done.stdout and "stale" in done.stdout


def refused(film) -> str:
    done = film.git("commit", "-qm", "x", check=False)
    assert done.returncode != 0
    return done.stderr


def test_pre_commit_refuses_what_could_not_be_made_again(film):
    film.regen("set", "shots/double.png", "end=!")
    assert "stale" in refused(film)
    film.regen("regenerate")
    film.git("add", "-A")
    film.git("commit", "-qm", "made")
    document = staged(film, "sky.png")
    document["params"]["width"] = "wide"
    film.path("sky.png").write_text(json.dumps(document))
    film.git("add", "sky.png")
    assert "params.width" in refused(film)


def test_pre_commit_refuses_a_document_whose_bytes_are_nowhere(film):
    text = staged(film, "plate.png")
    text["output"]["hash"] = "blake3:" + "0" * 64
    film.path("plate.png").write_text(json.dumps(text))
    film.git("add", "plate.png")
    told = refused(film)
    assert "output.hash" in told and "plate.png" in told


def test_check_fix_rewrites_a_document(film):
    film.path("plate.png").write_text(json.dumps(staged(film, "plate.png")))
    film.git("add", "plate.png")
    assert "not in canonical form" in film.regen("check").stdout
    film.regen("check", "--fix", "plate.png")
    assert changes(film) == "", "the very document of HEAD"


# --- add ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known_to_git", [False, True])
def test_add_recover_reads_the_recipe_out_of_the_file(film, known_to_git):
    data = png(*(text_chunk(*each) for each in texts_of_comfyui().items()))
    film.write("gen.png", data)
    if known_to_git:
        film.git("add", "gen.png")
    else:
        assert "--recover" in film.regen("add", "gen.png", check=False).stderr
    film.regen("add", "--recover", "gen.png")
    document = staged(film, "gen.png")
    assert document["generator"] == "comfyui" and document["output"]["hash"] == hash_of(data)
    assert not film.path("gen.png.regen.json").exists()
    assert_shown(film, "gen.png")


def test_add_with_a_generator(film):
    film.write("four.png", PLATE * 2)
    film.regen("add", "four.png", "-g", "command:twice", "-i", "image=plate.png")
    document = staged(film, "four.png")
    assert document["generator"] == "command:twice" and document["output"]["hash"] == hash_of(PLATE * 2)
    assert_shown(film, "four.png")


def test_add_of_a_folder_leaves_them_to_git(film):
    film.write("in/a.png", b"a")
    film.write("in/a.wav", b"sound")
    film.regen("add", "in")
    assert sorted(os.listdir(film.path("in"))) == ["a.png", "a.wav", "a.wav.regen.json"]


# --- fsck, doctor ------------------------------------------------------------------------------------------------


def test_fsck_heals_from_the_picture(film):
    for path in film.user.keep.rglob(blake3(PLATE).hexdigest()[2:]):
        path.chmod(0o644)
        path.write_bytes(b"rot")
    done = film.regen("fsck", check=False)
    assert done.returncode == 6 and "plate.png stored again from the working tree" in done.stdout
    assert film.regen("fsck").returncode == 0


def test_fsck_says_how_each_comes_back(film):
    to_documents(film, "plate.png", "sky.png")
    lose_stores(film)
    losses = {each["path"]: each["comes_back"] for each in json.loads(film.regen("fsck", "--json", check=False).stdout)["assets"]}
    assert losses["plate.png"] == "nowhere" and losses["sky.png"] == "regenerate" and losses["shots/double.png"] == "healed"


def found_by_doctor(film) -> str:
    told = json.loads(film.regen("doctor", "--json", check=False).stdout)
    return "\n".join(f"{each['level']}: {each['what']}" for each in told["findings"] if each["topic"] == "in place")


def test_doctor(film):
    assert found_by_doctor(film) == "ok: 4 assets, 4 of them on disk as media"
    to_documents(film, "sky.png")
    assert "note: documents on disk whose bytes are in a store: sky.png" in found_by_doctor(film)
    film.path("plate.png").write_bytes(b'<<<<<<< ours\n{"regen": 1}\n')
    assert "problem: a document that cannot be read lies on disk: plate.png" in found_by_doctor(film)
    film.git("config", "--unset-all", "filter.regen-inplace.process")
    assert "problem: 4 assets kept in place, but their filter is not set" in found_by_doctor(film)


# --- models, trust, API ------------------------------------------------------------------------------------------


def test_trust_knows_what_only_documents_name(film):
    film.write("tools/scene.py", b"print(1)\n")
    film.git("add", "-A")
    film.regen("generate", "run.png", "--no-run", "-g", "command:twice", "-i", "image=tools/scene.py")
    done = film.regen("regenerate", "run.png", check=False)
    assert done.returncode == 4
    assert "tools/scene.py" in film.regen("trust", "--yes").stdout
    film.regen("regenerate", "run.png")
    assert_shown(film, "run.png")


def test_a_program_does_the_same(film, monkeypatch):
    import regen_vcs

    with regen_vcs.open(film.root, environ=film.env) as project:
        assert project.set("sky.png", {"seed": 5}) == ["params.seed: 1 → 5"]
        assert {each.path: each.state for each in project.status()}["sky.png"] == "stale"
        assert [(each.path, each.verdict) for each in project.regenerate(stale=True)] == [("sky.png", "made")]
        assert project.show("sky.png")["params"]["seed"] == 5
    assert_shown(film, "sky.png")


def test_kills_between_index_and_disk_lose_nothing(film):
    """The document is staged and the bytes are not there yet: what a kill leaves. One `regenerate` ends it."""
    film.regen("set", "sky.png", "seed=6")
    old = film.path("sky.png").read_bytes()
    film.regen("regenerate", "sky.png")
    film.path("sky.png").write_bytes(old)
    assert film.status()["sky.png"] == "modified"
    film.regen("regenerate", "sky.png")
    assert_shown(film, "sky.png")


# --- remotes -----------------------------------------------------------------------------------------------------


def test_documents_become_pictures_from_a_remote(film, tmp_path):
    film.regen("remote", "add", "nas", str(tmp_path / "nas ü"))
    film.regen("push")
    to_documents(film)
    lose_stores(film)
    film.regen("sync")
    for name in ("plate.png", "sky.png", "shots/double.png", "roll.png"):
        assert_shown(film, name)


# --- what is said in the docs ------------------------------------------------------------------------------------


def test_capture_is_refused_before_the_work(film):
    done = film.run(sys.executable, "-c", (
        "from regen_vcs import capture\n"
        "with capture.recording('plate.png', generator='g') as rec:\n"
        "    print('worked')\n"
    ), check=False)  # fmt: skip
    assert done.returncode and "kept in place" in done.stderr
    assert "worked" not in done.stdout


def test_current_models(film):
    toml = film.path("regen.toml")
    toml.write_text(toml.read_text() + '\n[models.ink]\nname = "ink.safetensors"\nversion = "1"\n')
    film.regen("set", "shots/double.png", "--model", "style=ink")
    toml.write_text(toml.read_text().replace('version = "1"', 'version = "2"'))
    assert "ink" in film.regen("models").stdout
    film.regen("trust", "--yes")
    film.regen("regenerate", "--current-models", "--yes", "shots/double.png")
    assert staged(film, "shots/double.png")["models"]["style"]["version"] == "2"
    assert_shown(film, "shots/double.png")
