"""Making room: what is needed goes only if it comes back, wherever it is accepted; and then it does come back."""

from __future__ import annotations

import json
import sys

import pytest

from regen_vcs.engine.gc.collecting import Collector, Room
from regen_vcs.engine.gc.planning import policy_of
from regen_vcs.engine.workspace import Workspace
from tests.property.gc_world import LOOSE, PROVEN, SOURCE, World
from tests.real_git import recipes

SMALL = ("--param", "width=16", "--param", "height=16")
TOOL = f"""
[generators.tool]
uses = "command"
argv = ["{sys.executable}", "{{code}}/tool.py", "{{inputs.text}}", "{{output}}", "{{params.word}}"]
code = ["tools/tool.py"]
[generators.tool.params]
word = {{ type = "string" }}
"""
SCRIPT = """
import sys
text, output, word = sys.argv[1:]
open(output, "wb").write(open(text, "rb").read() + word.encode() * 100)
"""


def texture(project, name: str, seed: int) -> None:
    project.regen("generate", name, "--generator", "texture", "--param", f"seed={seed}", *SMALL)


def accepted(project, name: str) -> str:
    return recipes.read(project, name).output.hash


def held(project) -> set[str]:
    ws = Workspace.open(str(project.root), project.env)
    found = {*ws.stores, *(hash for trash in ws.stores.trashes for hash in trash)}
    ws.close()
    return found


def assert_whole(project) -> None:
    """Every asset lies here with its accepted bytes."""
    project.regen("sync")
    states = project.status()
    assert set(states.values()) == {"ok"}, states


@pytest.fixture
def tools(project):
    """A source asset, and two commands one after the other: plate.txt → grade.txt → comp.txt; all verified."""
    project.write("regen.toml", TOOL.encode())
    project.write("tools/tool.py", SCRIPT.encode())
    project.write("lut.txt", b"a lut ")
    project.commit("tools")
    project.regen("trust", "--yes")
    project.write("plate.txt", b"filmed " * 50)
    project.regen("add", "plate.txt")
    for name, source in (("grade.txt", "plate.txt"), ("comp.txt", "grade.txt"), ("looked.txt", "lut.txt")):
        project.regen("generate", name, "--generator", "command:tool", "--input", f"text={source}", "--param", f"word={name}")
    project.commit("film")
    return project


def test_everything_comes_back_on_every_branch(project):
    """Two branches, a tag, a stash; then every byte that comes back is gone, and all of them come back."""
    for name, seed in (("a.png", 1), ("dir/b.png", 2)):
        texture(project, name, seed)
    project.commit("one")
    project.git("switch", "-qc", "two")
    project.regen("set", "a.png", "seed=3")
    project.regen("regenerate", "a.png")
    texture(project, "c.png", 4)
    project.commit("two")
    project.git("tag", "v1")
    versions = {branch: project.git("ls-tree", "-r", "--name-only", branch).stdout.split() for branch in ("main", "two")}
    done = project.regen("gc", "--budget", "0")
    assert "needed, made by texture" in done.stdout and "back in" in done.stdout
    assert held(project) == set()
    for branch in ("main", "two", "main"):
        project.git("switch", "-q", branch)
        for path in project.root.rglob("*.png"):
            path.unlink()
        assert_whole(project)
        assert {f"{name}.regen.json" for name in project.status()} == {each for each in versions[branch] if each.endswith(".regen.json")}
        project.regen("gc", "--budget", "0")


def test_no_more_than_was_asked_for(project):
    for seed in range(4):
        texture(project, f"{seed}.png", seed)
    project.commit("one")
    before = len(held(project))
    project.regen("gc", "--free", "1")
    assert len(held(project)) == before - 1
    document = json.loads(project.regen("gc", "--free", "1TB", "--dry-run", "--json").stdout)
    assert document["summary"]["evicted"]["objects"] == before - 1 and "cannot be had" in document["notes"][0]


def test_a_chain_goes_as_a_whole_and_comes_back(tools):
    unproven = {accepted(tools, name) for name in ("plate.txt", "grade.txt", "comp.txt", "looked.txt")}
    tools.regen("gc", "--budget", "0")
    assert held(tools) >= unproven, "nothing has proven that these come back"
    tools.regen("verify")
    tools.regen("gc", "--budget", "0")
    assert accepted(tools, "plate.txt") in held(tools) and not held(tools) & {accepted(tools, name) for name in ("grade.txt", "comp.txt", "looked.txt")}
    for name in ("grade.txt", "comp.txt", "looked.txt"):
        tools.path(name).unlink()
    assert_whole(tools)


def test_where_an_input_was_changed_and_the_asset_was_not(tools):
    """At that commit nobody would run the recipe to get the old bytes."""
    tools.regen("verify")
    tools.write("lut.txt", b"another lut ")
    tools.git("commit", "-qam", "a lut that nothing was made with", "--no-verify")
    tools.git("switch", "-qc", "side")
    tools.write("lut.txt", b"a lut ")
    tools.git("commit", "-qam", "and back", "--no-verify")
    tools.git("switch", "-q", "side")
    tools.regen("gc", "--budget", "0")
    assert accepted(tools, "looked.txt") in held(tools)
    assert accepted(tools, "comp.txt") not in held(tools)


def test_what_was_regenerated_with_its_input_goes(tools):
    """Each version of the recipe stands where its input is the one that it was made with."""
    first = accepted(tools, "looked.txt")
    tools.regen("verify")
    tools.write("lut.txt", b"another lut ")
    tools.regen("regenerate", "looked.txt")
    tools.commit("both")
    tools.regen("verify")
    second = accepted(tools, "looked.txt")
    assert first != second
    tools.regen("gc", "--budget", "0")
    assert not held(tools) & {first, second}
    assert_whole(tools)
    tools.git("switch", "-q", "--detach", "HEAD~1")
    assert_whole(tools)
    assert accepted(tools, "looked.txt") == first


def test_a_generator_that_is_not_trusted_brings_nothing_back(tools):
    tools.regen("verify")
    tools.regen("trust", "--revoke")
    tools.regen("gc", "--budget", "0")
    assert accepted(tools, "comp.txt") in held(tools)


def test_a_definition_that_changed_proves_nothing(tools):
    tools.regen("verify")
    tools.write("tools/tool.py", SCRIPT.encode() + b"# faster now\n")
    tools.commit("faster")
    tools.regen("trust", "--yes")
    tools.regen("gc", "--budget", "0")
    assert accepted(tools, "comp.txt") in held(tools)


def test_a_durable_remote_brings_back_even_source_assets(tools):
    tools.regen("remote", "add", "nas", str(tools.user.base / "näs"), "--durable")
    tools.regen("push", "--all")
    tools.regen("gc", "--budget", "0")
    assert held(tools) == set()
    for name in ("plate.txt", "grade.txt", "comp.txt", "looked.txt"):
        tools.path(name).unlink()
    assert_whole(tools)


def test_a_remote_that_is_away_or_not_durable_brings_nothing_back(tools):
    tools.regen("remote", "add", "nas", str(tools.user.base / "nas"))
    tools.regen("push", "--all")
    before = held(tools)
    tools.regen("gc", "--budget", "0")
    assert held(tools) == before
    tools.git("config", "regen.remote.nas.durable", "true")
    (tools.user.base / "nas").rename(tools.user.base / "unmounted")
    tools.regen("gc", "--budget", "0")
    assert held(tools) == before


# -- what holds an object here --------------------------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path)


def make_room(world: World, root=None) -> None:
    ws = world.open(root or world.roots[0])
    Collector(ws.settings, ws.environ, ws).run(policy_of(ws.settings, grace=0.0), Room(budget=0))
    ws.close()


@pytest.mark.parametrize("is_tree", [False, True])
def test_only_what_is_proven_goes(world, is_tree):
    root = world.roots[0]
    things = {kind: world.make(root, f"{kind}.png", kind, is_tree=is_tree) for kind in (SOURCE, LOOSE, PROVEN)}
    world.git(root, "add", "-A")
    world.git(root, "commit", "-qm", "x")
    make_room(world)
    assert {kind: world.holds(thing) for kind, thing in things.items()} == {SOURCE: True, LOOSE: True, PROVEN: False}


def stale_elsewhere(world, root, thing):
    """The same output under a recipe that would not make it."""
    World._write(root, "b.png", thing.recipe.replace(params={"seed": "other"}))


def stale_in_history(world, root, thing):
    stale_elsewhere(world, root, thing)
    world.git(root, "add", "-A")
    world.git(root, "commit", "-qm", "x")
    world.git(root, "rm", "-q", "b.png.regen.json")
    world.git(root, "commit", "-qm", "y")


def a_source_elsewhere(world, root, thing):
    """Somebody has `add`ed the very picture."""
    World._write(root, "b.png", thing.recipe.replace(generator=None, params={}, output=thing.recipe.output.replace(key=None)))


def another_repository(world, root, thing):
    other = world.repo("other")
    stale_elsewhere(world, other, thing)


def a_pin(world, root, thing):
    world.pin(list(world.things).index(thing.hash))


def a_rescue(world, root, thing):
    ws = world.open(root)
    ws.rescued.add(ws.uuid, ws.root, "x.png", thing.hash, 1, "edited")
    ws.close()


def a_review_of_it(world, root, thing):
    World._write(root, "b.png", thing.recipe.replace(output=None, review={"hash": f"blake3:{thing.hash}", "state": "approved"}))


def a_sidecar_in_conflict(world, root, thing):
    (root / "b.png.regen.json").write_text(f"<<<<<<< ours\n{(root / 'a.png.regen.json').read_text()}")


@pytest.mark.parametrize("hold", [
    stale_elsewhere, stale_in_history, a_source_elsewhere, another_repository, a_pin, a_rescue, a_review_of_it, a_sidecar_in_conflict,
], ids=lambda hold: hold.__name__)  # fmt: skip
def test_another_reason_holds_it(world, hold):
    root = world.roots[0]
    thing, other = world.make(root, "a.png", PROVEN), world.make(root, "c.png", PROVEN)
    world.git(root, "add", "-A")
    world.git(root, "commit", "-qm", "a")
    hold(world, root, thing)
    make_room(world)
    assert world.holds(thing) and not world.holds(other)


def test_files_that_two_sequences_share_stay_with_the_one_that_stays(world):
    """A frame of a sequence that is proven and of one that is not."""
    root = world.roots[0]
    proven = world.make(root, "one", PROVEN, is_tree=True)
    from regen_vcs.model.manifest import Member, manifest_bytes
    from regen_vcs.model.recipe import Output, Recipe

    ws = world.open(root)
    whole = ws.stores.ingest_bytes(manifest_bytes([Member("x.png", proven.objects[1], 60)]))[0]
    ws.close()
    World._write(root, "two", Recipe(output=Output(hash=whole, key=None, size=60, files=1)))
    make_room(world)
    present = world.present()
    assert whole in present and proven.objects[1] in present
    assert proven.hash not in present and proven.objects[2] not in present


def test_what_a_worktree_shares_frees_nothing(project):
    project.git("config", "regen.link", "hardlink!")
    texture(project, "a.png", 1)
    project.commit("one")
    before = held(project)
    document = json.loads(project.regen("gc", "--budget", "0", "--json").stdout)
    assert held(project) == before and not document["summary"]["evicted"]["objects"] and "shared with a worktree" in document["notes"][0]


def test_spare_copies_go_first(project):
    texture(project, "a.png", 1)
    project.commit("one")
    project.git("switch", "-qc", "two")
    project.regen("rm", "a.png")
    project.commit("two")
    spare = project.root / ".git" / "regen" / "spare"
    assert [each for each in spare.iterdir() if each.name != "index"]
    size = sum(each.stat().st_size for each in spare.iterdir() if each.name != "index")
    document = json.loads(project.regen("gc", "--free", str(size), "--json").stdout)
    assert not [each for each in spare.iterdir() if each.name != "index"]
    assert document["freed"] == size and not document["summary"]["evicted"]["objects"]
    project.git("switch", "-q", "main")
    assert_whole(project)
