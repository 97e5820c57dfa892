"""gc: where a reference may hide, what a grace is, and what happens to repositories that cannot be read."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from regen_vcs.engine.gc.background import start_if_low
from regen_vcs.engine.gc.collecting import Collector, Room
from regen_vcs.engine.gc.ledger import Ledger
from regen_vcs.engine.gc.planning import Policy, policy_of
from regen_vcs.engine.rescue import rescued_here
from regen_vcs.errors import RegenError, UsageError
from regen_vcs.stores.objects import LocalStores
from regen_vcs.stores.results import Repos
from tests.property.gc_world import LOOSE, PROVEN, SOURCE, World

DAY = 86400.0


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path)


@pytest.fixture
def root(world) -> Path:
    return world.roots[0]


def is_there(world: World, thing) -> bool:
    return world.holds(thing)


def expire(world: World, root: Path) -> None:
    world.git(root, "reflog", "expire", "--expire=now", "--all")


def commit(world: World, root: Path, message: str = "x") -> str:
    world.git(root, "add", "-A")
    world.git(root, "commit", "-qm", message)
    return world.git(root, "rev-parse", "HEAD").strip()


def lose_commit(world: World, root: Path) -> str:
    """Take back the last commit, so that nothing but its id is left; the id."""
    oid = world.git(root, "rev-parse", "HEAD").strip()
    world.git(root, "update-ref", "refs/heads/main", "HEAD~1")
    world.git(root, "read-tree", "HEAD")
    world.git(root, "checkout-index", "-fa")
    for path in root.rglob("*.regen.json"):
        path.unlink()
    expire(world, root)
    for name in ("ORIG_HEAD", "FETCH_HEAD"):
        (root / ".git" / name).unlink(missing_ok=True)
    return oid


# -- where a reference may hide ------------------------------------------------------------------------------------------


def in_stash(world, root):
    world.git(root, "add", "-A")
    world.git(root, "stash", "-q")


def in_untracked_stash(world, root):
    world.git(root, "stash", "push", "-qu")


def in_dropped_stash(world, root):
    """Dropped, but the reflog of a branch still has it."""
    in_stash(world, root)
    stash = world.git(root, "rev-parse", "stash").strip()
    world.git(root, "stash", "drop", "-q")
    world.git(root, "update-ref", "--create-reflog", "refs/heads/saved", stash)


def in_index_alone(world, root):
    world.git(root, "add", "-A")
    for path in root.rglob("*.regen.json"):
        path.unlink()


def in_reflog(world, root):
    commit(world, root)
    world.git(root, "reset", "-q", "--hard", "HEAD~1")
    (root / ".git" / "ORIG_HEAD").unlink()


def in_orig_head(world, root):
    oid = commit(world, root)
    lose_commit(world, root)
    (root / ".git" / "ORIG_HEAD").write_text(oid + "\n")


def in_annotated_tag(world, root):
    commit(world, root)
    world.git(root, "tag", "-am", "x", "v1")
    lose_commit(world, root)


def in_tagged_blob(world, root):
    oid = world.git(root, "hash-object", "-w", "--no-filters", "a.png.regen.json").strip()
    world.git(root, "tag", "text", oid)
    (root / "a.png.regen.json").unlink()


def in_a_note_on_nothing(world, root):
    """A ref of a name that nobody knows."""
    commit(world, root)
    oid = lose_commit(world, root)
    world.git(root, "update-ref", "refs/backup/x", oid)


def in_packed_refs(world, root):
    in_a_note_on_nothing(world, root)
    world.git(root, "pack-refs", "--all", "--prune")


def in_another_worktree(world, root):
    other = root.parent / "second"
    world.git(root, "worktree", "add", "-q", "--detach", str(other))
    shutil.move(root / "a.png.regen.json", other / "a.png.regen.json")


def in_another_worktrees_index(world, root):
    in_another_worktree(world, root)
    other = root.parent / "second"
    world.git(other, "add", "-A")
    (other / "a.png.regen.json").unlink()


def in_another_worktrees_head(world, root):
    in_another_worktree(world, root)
    other = root.parent / "second"
    commit(world, other)
    expire(world, root)


def in_another_worktrees_bisect(world, root):
    """refs/bisect is each worktree's own."""
    other = root.parent / "second"
    world.git(root, "worktree", "add", "-q", "--detach", str(other))
    commit(world, root)
    oid = lose_commit(world, root)
    world.git(other, "update-ref", "refs/bisect/bad", oid)
    expire(world, root)


def in_merge_head(world, root):
    """A merge that waits for its conflict to be resolved."""
    (root / "notes.txt").write_text("theirs")
    oid = commit(world, root)
    lose_commit(world, root)
    (root / "notes.txt").write_text("ours")
    commit(world, root, "ours")
    world.git(root, "merge", "-q", oid)
    assert (root / ".git" / "MERGE_HEAD").exists()
    (root / ".git" / "ORIG_HEAD").unlink(missing_ok=True)
    world.git(root, "rm", "-qf", "--cached", "a.png.regen.json")
    (root / "a.png.regen.json").unlink(missing_ok=True)
    expire(world, root)


def in_a_conflict(world, root):
    """Stages 2 and 3 of the index; on disk are markers."""
    mine = (root / "a.png.regen.json").read_bytes()
    (root / "a.png.regen.json").write_bytes(b"{}\n")
    commit(world, root, "base")
    world.git(root, "switch", "-qc", "side")
    (root / "a.png.regen.json").write_bytes(mine)
    oid = commit(world, root)
    world.git(root, "switch", "-q", "main")
    (root / "a.png.regen.json").write_bytes(b'{"other": 1}\n')
    commit(world, root, "other")
    world.git(root, "merge", "-q", "side")
    assert world.git(root, "ls-files", "-u")
    world.git(root, "branch", "-D", "side")
    (root / ".git" / "MERGE_HEAD").unlink()
    (root / "a.png.regen.json").unlink()
    expire(world, root)
    assert oid


def in_autostash_of_a_rebase(world, root):
    world.git(root, "add", "-A")
    oid = world.git(root, "stash", "create").strip()
    world.git(root, "reset", "-q", "--hard")
    (root / ".git" / "rebase-merge").mkdir()
    (root / ".git" / "rebase-merge" / "autostash").write_text(oid)


def in_autostash_of_a_merge(world, root):
    world.git(root, "add", "-A")
    oid = world.git(root, "stash", "create").strip()
    world.git(root, "reset", "-q", "--hard")
    (root / ".git" / "MERGE_AUTOSTASH").write_text(oid)


def in_a_mail_to_be_applied(world, root):
    """`git am` that stopped: the sidecar is only in the text of a patch."""
    commit(world, root)
    patch = world.git(root, "format-patch", "--stdout", "HEAD~1")
    lose_commit(world, root)
    (root / ".git" / "rebase-apply").mkdir()
    (root / ".git" / "rebase-apply" / "0001").write_text(patch)


def under_another_name_too(world, root):
    """git lists a blob once, under the first name it meets; here that is no sidecar's."""
    shutil.copy(root / "a.png.regen.json", root / "A copy of it.txt")
    commit(world, root)


def under_another_name_first(world, root):
    shutil.copy(root / "a.png.regen.json", root / "A copy of it.txt")
    world.git(root, "add", "A copy of it.txt")
    world.git(root, "commit", "-qm", "a copy")
    commit(world, root)
    world.git(root, "rm", "-q", "a.png.regen.json")
    commit(world, root, "gone again")


def in_the_far_side_of_a_merge(world, root):
    """Added and removed on a branch whose end has the same files as the other side."""
    world.git(root, "switch", "-qc", "side")
    commit(world, root)
    world.git(root, "rm", "-q", "a.png.regen.json")
    commit(world, root, "gone again")
    world.git(root, "switch", "-q", "main")
    world.git(root, "commit", "-q", "--allow-empty", "-m", "main goes on")
    world.git(root, "merge", "-q", "--no-edit", "side")
    world.git(root, "branch", "-D", "side")
    expire(world, root)


def in_escapes(world, root):
    path = root / "a.png.regen.json"
    path.write_text(path.read_text().replace("blake3:", "bl\\u0061ke3:"))


def between_markers(world, root):
    path = root / "a.png.regen.json"
    path.write_text(f"<<<<<<< ours\n{path.read_text()}=======\n>>>>>>> theirs\n")


def in_a_newer_format(world, root):
    path = root / "a.png.regen.json"
    path.write_text(path.read_text().replace('"regen": 1', '"regen": 9'))


def deep_in_a_nested_repository(world, root):
    inner = root / "vendor" / "inner"
    inner.mkdir(parents=True)
    world.git(inner, "init", "-q")
    shutil.move(root / "a.png.regen.json", inner / "a.png.regen.json")


def in_a_document_in_place(world, root):
    (root / ".gitattributes").write_text("*.png filter=regen-inplace\n")
    shutil.move(root / "a.png.regen.json", root / "a.png")
    commit(world, root)
    world.git(root, "rm", "-q", "a.png", ".gitattributes")
    commit(world, root, "that layout is history")
    expire(world, root)


def in_a_document_in_place_on_disk(world, root):
    (root / ".gitattributes").write_text("*.png filter=regen-inplace\n")
    shutil.move(root / "a.png.regen.json", root / "a.png")


def in_a_split_index(world, root):
    world.git(root, "update-index", "--split-index")
    in_index_alone(world, root)


def in_the_state_of_a_worktree(world, root):
    """A stand-in: a take on disk that no sidecar names."""
    (root / ".git" / "regen").mkdir(exist_ok=True)
    hash = json.loads((root / "a.png.regen.json").read_text())["output"]["hash"].removeprefix("blake3:")
    (root / ".git" / "regen" / "journal").write_text(f'\n{{"a.png": ["{hash}", null, "proposed"]}}')
    (root / "a.png.regen.json").unlink()


PLACES = [value for name, value in list(globals().items()) if name.split("_")[0] in ("in", "under", "between", "deep") and callable(value)]


@pytest.mark.parametrize("hide", PLACES, ids=lambda hide: hide.__name__)
def test_wherever_a_reference_hides(world, root, hide):
    thing = world.make(root, "a.png", LOOSE, is_tree=hide.__name__ in ("in_stash", "in_reflog", "in_the_state_of_a_worktree"))
    nobodys = world.make(root, "b.png", LOOSE)
    (root / "b.png.regen.json").unlink()
    hide(world, root)
    world.gc()
    assert is_there(world, thing)
    assert not is_there(world, nobodys), "gc took nothing at all"


def test_places_are_the_only_reason(world, root):
    """The same with nothing hidden: so the test above could fail."""
    thing = world.make(root, "a.png", LOOSE)
    commit(world, root)
    lose_commit(world, root)
    world.gc()
    assert not is_there(world, thing)


@pytest.mark.parametrize("kind", [SOURCE, LOOSE, PROVEN])
def test_what_was_accepted_once(world, root, kind):
    """A commit had it when gc looked. Then nobody has it any more: it goes only if it comes back."""
    thing = world.make(root, "a.png", kind)
    commit(world, root)
    world.gc()
    lose_commit(world, root)
    plan, _ = world.gc()
    assert is_there(world, thing) == (kind != PROVEN)
    assert [item.hash for item in plan.stays] == ([] if kind == PROVEN else [thing.hash])
    assert all(item.why == "irreplaceable" for item in plan.stays)


def test_sha256_repositories(world):
    root = world.home.work / "modern"
    root.mkdir()
    world.git(root, "init", "-q", "--object-format=sha256")
    world.roots.append(root)
    thing = world.make(root, "a.png", LOOSE)
    in_stash(world, root) if commit(world, root) else None
    ws = world.open(root)
    ws.register()
    ws.close()
    plan, _ = world.gc()
    assert not plan.notes and is_there(world, thing)


def test_a_bare_repository_with_worktrees(world, root):
    commit(world, root)
    world.git(root.parent, "clone", "-q", "--bare", str(root), "bare.git")
    one = root.parent / "one"
    world.git(root.parent / "bare.git", "worktree", "add", "-q", str(one), "-b", "one")
    thing = world.make(one, "a.png", LOOSE)
    ws = world.open(one)
    ws.register()
    ws.close()
    plan, _ = world.gc()
    assert not plan.notes and is_there(world, thing)


# -- grace, trash, clocks ------------------------------------------------------------------------------------------------


def run(world: World, root: Path, *, days: float = 0.0, grace: float = 30 * DAY, room: Room | None = None, **more):
    """A gc so many days from now."""
    ws = world.open(root)
    try:
        policy = Policy(grace, more.get("takes", False), more.get("keep_takes", 0), os.stat(world.home.home).st_ctime + 60 + days * DAY)
        return Collector(ws.settings, ws.environ, ws).run(policy, room or Room())
    finally:
        ws.close()


def drop(world: World, root: Path, kind: str, asset: str = "a.png"):
    """A thing that nobody refers to."""
    thing = world.make(root, asset, kind)
    (root / f"{asset}.regen.json").unlink()
    return thing


def in_trash(world: World, thing) -> bool:
    return any((store / "v1/trash/objects" / thing.hash[:2] / thing.hash[2:]).exists() for store in (world.home.keep, world.home.cache))


@pytest.mark.parametrize("kind", [LOOSE, PROVEN])
def test_a_grace_then_the_trash_then_another_grace(world, root, kind):
    thing = drop(world, root, kind)
    run(world, root, days=29)
    assert is_there(world, thing) and not in_trash(world, thing)
    run(world, root, days=31)
    assert is_there(world, thing) and in_trash(world, thing)
    run(world, root, days=60)
    assert in_trash(world, thing)
    run(world, root, days=62)
    assert not is_there(world, thing)


def test_a_grace_begins_when_nobody_needs_it_any_more(world, root):
    thing = world.make(root, "a.png", LOOSE)
    run(world, root, days=100)
    (root / "a.png.regen.json").unlink()
    run(world, root, days=101)
    assert is_there(world, thing) and not in_trash(world, thing), "needed when gc looked yesterday"
    run(world, root, days=129)
    assert not in_trash(world, thing)
    run(world, root, days=132)
    assert in_trash(world, thing)


@pytest.mark.parametrize("days", [-10_000, -1], ids=["a clock of 1999", "a clock a day late"])
def test_a_clock_that_went_back_takes_nothing(world, root, days):
    thing = drop(world, root, LOOSE)
    run(world, root, days=20)
    run(world, root, days=days)
    assert is_there(world, thing) and not in_trash(world, thing)


def test_times_of_files_do_not_shorten_a_grace(world, root):
    """The seal is no age; and what the last gc did not list is no older than that gc."""
    run(world, root, days=365)
    thing = drop(world, root, LOOSE)  # its file says it is a year older
    run(world, root, days=366)
    assert is_there(world, thing) and not in_trash(world, thing)


def test_ledger(tmp_path):
    ledger = Ledger(str(tmp_path))
    now = 2e9
    assert ledger.since("h", [now - 100, now - 50], now) == now - 50
    assert ledger.since("h", [now + 100], now) == now, "the future is now"
    assert ledger.since("h", [0.0], now) == now, "1970 is no time"
    assert ledger.since("h", [], now) == now
    ledger.save({"h": now - 500}, now)
    later = Ledger(str(tmp_path))
    assert later.since("h", [now - 1000], now + 10) == now - 500
    assert later.since("new", [now - 1000], now + 10) == now
    assert later.since("h", [now - 20_000], now - 9000) == now - 9000, "the clock is behind the last gc's: no age at all"
    (tmp_path / "gc" / "ledger").write_bytes(b"{")
    assert Ledger(str(tmp_path)).since("h", [now - 50], now) == now - 50


def test_undo(world, root):
    things = [drop(world, root, kind, f"{n}.png") for n, kind in enumerate((LOOSE, PROVEN))]
    run(world, root, days=31)
    assert all(in_trash(world, thing) for thing in things)
    ws = world.open(root)
    back = Collector(ws.settings, ws.environ, ws).undo()
    ws.close()
    assert {item.hash for item in back} == {thing.hash for thing in things}
    assert all(is_there(world, thing) and not in_trash(world, thing) for thing in things)


def test_what_came_to_be_needed_leaves_the_trash(world, root):
    thing = drop(world, root, LOOSE)
    run(world, root, days=31)
    assert in_trash(world, thing)
    World._write(root, "a.png", thing.recipe)
    _, outcome = run(world, root, days=32)
    assert [item.hash for item in outcome.restored] == [thing.hash] and not in_trash(world, thing)


def test_what_no_longer_comes_back_leaves_the_trash_too(world, root):
    thing = world.make(root, "a.png", PROVEN)
    commit(world, root)
    run(world, root, days=1)
    lose_commit(world, root)
    run(world, root, days=40)
    assert in_trash(world, thing)
    for path in (world.home.keep / "v1" / "proofs").iterdir():
        path.unlink()
    _, outcome = run(world, root, days=80)
    assert not in_trash(world, thing) and is_there(world, thing)
    assert not outcome.emptied


def test_scratch_work_and_takes_on_demand(world, root):
    plain = drop(world, root, LOOSE)
    temp = world.make(root, "t.png", LOOSE)
    (root / "t.png.regen.json").unlink()
    ws = world.open(root)
    from regen_vcs.model.recipe import recipe_bytes

    key = temp.recipe.output.key
    ws.results.save_recipe(key, recipe_bytes(temp.recipe.replace(output=None, meta={"tags": ["hero", "temp"]})))
    ws.close()
    run(world, root, days=1)
    assert in_trash(world, temp) and not in_trash(world, plain)
    run(world, root, days=1, takes=True)
    assert in_trash(world, plain)


def test_the_newest_takes_of_a_key_may_stay(world, root):
    things = []
    for number in range(3):
        thing = drop(world, root, LOOSE)
        ws = world.open(root)
        key = things[0].recipe.output.key if things else thing.recipe.output.key
        ws.results.record(key, thing.hash, {"at": f"2026-01-0{number + 1}T00:00:00.000Z", "output": {"hash": f"blake3:{thing.hash}", "size": 1}})
        ws.close()
        things.append(thing)
    run(world, root, days=31, keep_takes=1)
    # The later two have a key of their own as well, whose newest take they are.
    assert [in_trash(world, thing) for thing in things] == [True, False, False]


# -- repositories that cannot be read --------------------------------------------------------------------------------------


def second(world: World, name: str = "other") -> Path:
    return world.repo(name)


def test_a_repository_that_was_moved_is_found_where_it_runs_next(world, root):
    other = second(world)
    thing = world.make(other, "a.png", LOOSE)
    world.gc()
    shutil.move(other, other.parent / "moved")
    plan, _ = world.gc()
    assert is_there(world, thing) and "counts as it was last seen" in plan.notes[0]
    ws = world.open(other.parent / "moved")
    ws.register()
    ws.close()
    (other.parent / "moved" / "a.png.regen.json").unlink()
    plan, _ = world.gc()
    assert not plan.notes and not is_there(world, thing)


def test_a_copy_counts_by_itself(world, root):
    thing = world.make(root, "a.png", LOOSE)
    copy = root.parent / "copy"
    shutil.copytree(root, copy)
    ws = world.open(copy)
    ws.register()
    ws.close()
    (root / "a.png.regen.json").unlink()
    world.gc()
    assert is_there(world, thing)
    shutil.rmtree(copy)  # unmounted, say
    plan, _ = world.gc()
    assert is_there(world, thing) and plan.notes


def test_a_repository_nobody_has_looked_at_stops_everything(world, root):
    other = second(world)
    nobodys = drop(world, root, LOOSE)
    shutil.rmtree(other)
    plan, outcome = world.gc()
    assert "nothing is swept" in plan.notes[0] and not outcome.swept and is_there(world, nobodys)
    ws = world.open(root)
    collector = Collector(ws.settings, ws.environ, ws)
    with pytest.raises(UsageError, match="is there, and uses this store"):
        collector.forget_repository(str(root))
    with pytest.raises(UsageError, match="no repository"):
        collector.forget_repository("nonsense")
    assert collector.forget_repository(str(other)) == str(other / ".git")
    ws.close()
    world.gc()
    assert not is_there(world, nobodys)


def test_another_repository_in_its_place_is_another(world, root):
    other = second(world)
    thing = world.make(other, "a.png", LOOSE)
    world.gc()
    shutil.rmtree(other)
    world.roots.remove(other)
    second(world)
    plan, _ = world.gc()
    assert is_there(world, thing) and "another repository is there now" in plan.notes[0]


def test_a_worktree_that_is_not_there_counts_as_it_was(world, root):
    other = root.parent / "second"
    world.git(root, "worktree", "add", "-q", "--detach", str(other))
    thing = world.make(other, "a.png", LOOSE)
    world.gc()
    shutil.move(other, root.parent / "unmounted")
    plan, _ = world.gc()
    assert is_there(world, thing) and "git worktree prune" in plan.notes[0]
    world.git(root, "worktree", "prune")
    plan, _ = world.gc()
    assert not plan.notes and not is_there(world, thing)


def test_a_shallow_clone_takes_only_what_comes_back(world, root):
    kept, proven = drop(world, root, LOOSE), drop(world, root, PROVEN, "b.png")
    for n in range(3):
        (root / "notes.txt").write_text(str(n))
        commit(world, root)
    clone = root.parent / "shallow"
    world.git(root.parent, "clone", "-q", "--depth", "1", f"file://{root}", "shallow")
    ws = world.open(clone)
    ws.register()
    ws.close()
    plan, _ = world.gc()
    assert "not all of its history" in plan.notes[0]
    assert is_there(world, kept) and not is_there(world, proven)


def test_a_partial_clone_takes_only_what_comes_back(world, root):
    kept = world.make(root, "a.png", LOOSE)
    commit(world, root)
    world.git(root, "rm", "-q", "a.png.regen.json")
    commit(world, root, "gone")
    world.git(root, "config", "uploadpack.allowFilter", "true")
    clone = root.parent / "partial"
    world.git(root.parent, "clone", "-q", "--filter=blob:none", f"file://{root}", "partial")
    ws = world.open(clone)
    ws.register()
    ws.close()
    Repos(str(world.home.keep / "v1")).forget_place(next(p for p in Repos(str(world.home.keep / "v1")).places() if p.path == str(root / ".git")))
    plan, _ = world.gc(root=clone)
    assert "not all of its history" in plan.notes[0] and is_there(world, kept)


def test_a_git_folder_that_cannot_be_read_counts_as_it_was(world, root):
    other = second(world)
    thing = world.make(other, "a.png", LOOSE)
    commit(world, other)
    world.gc()
    (other / "a.png.regen.json").unlink()
    objects = other / ".git" / "objects"
    for path in objects.glob("??/*"):
        path.unlink()
    plan, _ = world.gc()
    assert plan.notes and is_there(world, thing)


def test_a_damaged_entry_stops_everything(world, root):
    nobodys = drop(world, root, LOOSE)
    other = second(world)
    for path in (world.home.keep / "v1" / "repos").glob("*/place-*.json"):
        if json.loads(path.read_text())["path"] == str(other / ".git"):
            path.write_text("{")
    plan, _ = world.gc()
    assert "damaged" in plan.notes[0] and is_there(world, nobodys)


# -- claims and traps ------------------------------------------------------------------------------------------------------


def test_a_record_that_claims_bytes_makes_them_no_take(world, root):
    """What `add` stored, and somebody else's record says is a take: nothing on this machine has seen it made."""
    thing = drop(world, root, SOURCE)
    ws = world.open(root)
    ws.results.record("f" * 64, thing.hash, {"at": "2020-01-01T00:00:00.000Z", "output": {"hash": f"blake3:{thing.hash}", "size": 1}})
    ws.results.record("e" * 64, "d" * 64, {"log": thing.hash})
    ws.close()
    world.gc()
    assert is_there(world, thing)


def test_bytes_that_were_kept_from_a_worktree_are_irreplaceable(world, root):
    ws = world.open(root)
    hash = ws.stores.ingest_bytes(b"an edit that nobody wrote down")[0]
    ws.close()
    plan, _ = world.gc()
    assert [(item.hash, item.why) for item in plan.stays] == [(hash, "irreplaceable")]


def test_what_is_none_of_ours_is_left_alone(world, root, tmp_path):
    thing = drop(world, root, PROVEN)
    objects = world.home.keep / "v1" / "objects"
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / ("a" * 62)).write_bytes(b"mine")
    (objects / "ff").symlink_to(mine)
    (objects / "notes").mkdir()
    (objects / "notes" / "x").write_bytes(b"x")
    (objects / "aa").mkdir(exist_ok=True)
    (objects / "aa" / "README").write_bytes(b"x")
    (objects / "aa" / ("b" * 62)).mkdir()
    (objects / "aa" / ("c" * 62)).symlink_to(mine / ("a" * 62))
    world.gc()
    assert not is_there(world, thing)
    assert (mine / ("a" * 62)).read_bytes() == b"mine" and (objects / "notes" / "x").exists() and (objects / "aa" / "README").exists()
    assert (objects / "aa" / ("b" * 62)).is_dir() and (objects / "aa" / ("c" * 62)).is_symlink()


def test_a_shared_file_system_is_not_swept(world, root, monkeypatch):
    from regen_vcs.engine.gc import collecting

    thing = drop(world, root, LOOSE)
    monkeypatch.setattr(collecting, "shared_kind", lambda path: "nfs4")
    with pytest.raises(RegenError, match="nfs4"):
        world.gc()
    assert is_there(world, thing)


def test_without_locks_nothing_is_swept(world, root, monkeypatch):
    from regen_vcs.stores.locks import StoreLock

    monkeypatch.setattr(StoreLock, "works", lambda self: False)
    with pytest.raises(RegenError, match="locks do not work"):
        world.gc()


def test_keep_and_cache_may_be_one(tmp_path):
    world = World(tmp_path)
    world.home.env["REGEN_CACHE_DIR"] = world.env["REGEN_CACHE_DIR"] = str(world.home.keep)
    root = world.roots[0]
    needed, source = world.make(root, "n.png", LOOSE), drop(world, root, SOURCE)
    loose, proven = drop(world, root, LOOSE, "b.png"), drop(world, root, PROVEN, "c.png")
    world.gc()
    assert [is_there(world, each) for each in (needed, source, loose, proven)] == [True, True, False, False]


def test_a_dry_run_changes_nothing(world, root):
    drop(world, root, LOOSE)
    drop(world, root, PROVEN, "b.png")
    commit(world, root)

    def listing() -> dict:
        return {str(path): path.stat().st_mtime_ns for base in (world.home.keep, world.home.cache, root) for path in base.rglob("*")}

    ws = world.open(root)
    before = listing()
    plan = Collector(ws.settings, ws.environ, ws).plan(policy_of(ws.settings, grace=0.0), Room(budget=0))
    assert len(plan.sweep) == 2
    assert listing() == before
    ws.close()


def test_rescued_bytes_stay_until_they_are_forgotten(world, root):
    ws = world.open(root)
    hash = ws.stores.ingest_bytes(b"edited")[0]
    ws.rescued.add(ws.uuid, ws.root, "a.png", hash, 6, "edited")
    plan, _ = world.gc()
    assert not plan.stays and ws.stores.has(hash)
    outcome = Collector(ws.settings, ws.environ, ws).forget([hash[:10]], policy_of(ws.settings))
    assert [item.hash for item in outcome.swept] == [hash]
    assert rescued_here(ws) == [] and ws.stores.find(hash) is not None, "in the trash, for the grace"
    ws.close()


def test_forgetting_a_directory_takes_its_files_along(world, root):
    one, two = drop(world, root, SOURCE, "shots"), world.make(root, "film", SOURCE, is_tree=True)
    needed = world.make(root, "needed", SOURCE, is_tree=True)
    (root / "film.regen.json").unlink()
    ws = world.open(root)
    collector = Collector(ws.settings, ws.environ, ws)
    for bad, words in (("abc", "too short"), ("f" * 20, "no object"), (needed.hash, "refers to it"), (needed.objects[1], "belongs to")):
        with pytest.raises(UsageError, match=words):
            collector.forget([bad], policy_of(ws.settings))
    outcome = collector.forget([f"blake3:{two.hash}"], policy_of(ws.settings))
    assert {item.hash for item in outcome.swept} == set(two.objects)
    ws.close()
    assert is_there(world, one) and is_there(world, needed)


def test_logs_of_live_takes_stay_and_others_go(world, root):
    from regen_vcs.stores.witness import LOG, Witness

    thing = world.make(root, "a.png", LOOSE)
    ws = world.open(root)
    live, dead = (ws.stores.ingest_bytes(text, proven=True)[0] for text in (b"live log", b"dead log"))
    Witness(ws.stores.keep.root).saw(LOG, [live, dead])
    ws.results.record(thing.recipe.output.key, thing.hash, {"at": "2026-02-01T00:00:00.000Z", "log": live})
    assert ws.stores.has(dead)
    ws.close()
    world.gc()
    ws = world.open(root)
    assert ws.stores.has(live) and not ws.stores.has(dead)
    ws.close()


def test_inputs_that_keep_has_stay_with_the_take(world, root):
    thing = world.make(root, "a.png", LOOSE)
    ws = world.open(root)
    read, unread = (ws.stores.ingest_bytes(text)[0] for text in (b"a LUT", b"no LUT"))
    ws.results.record(thing.recipe.output.key, thing.hash, {"at": "2026-02-01T00:00:00.000Z", "inputs": {"lut": f"blake3:{read}"}})
    ws.close()
    plan, _ = world.gc()
    assert [item.hash for item in plan.stays] == [unread]


def test_jobs_that_wait_hold_what_they_name(world, root):
    from regen_vcs.engine.queue import MISSING, Queue, Request

    thing, log = drop(world, root, LOOSE), drop(world, root, LOOSE, "log.txt")
    with Queue(str(root / ".git" / "regen")) as queue:
        ids = queue.add(str(root), [Request("x.png", None, None, "g", None, ())], MISSING)
        queue._db.execute("UPDATE job SET take=?, log=?", (thing.hash, log.hash))
        world.gc()
        assert is_there(world, thing) and is_there(world, log)
        queue.finish([{"id": ids["x.png"], "state": "failed", "take": thing.hash, "log": log.hash}])
    world.gc()
    assert not is_there(world, thing) and is_there(world, log), "`show --log` still shows it"


# -- the command ------------------------------------------------------------------------------------------------------------


def test_what_people_see(project):
    for seed in (1, 2):
        project.regen("generate", "a.png", "--generator", "texture", "--param", f"seed={seed}", "--param", "width=16", "--param", "height=16")
    project.write("photo.jpg", b"\xff\xd8\xff" + b"x" * 2000)
    project.regen("add", "photo.jpg")
    project.commit("two")
    (project.root / "kept.bin").write_bytes(b"edited " * 1000)
    LocalStores(f"{project.user.keep}/v1", f"{project.user.cache}/v1").ingest_file(str(project.root / "kept.bin"))
    (project.root / "kept.bin").unlink()
    young = project.regen("gc", "--dry-run").stdout
    assert "younger than the grace" in young and "0 B would be free at once" in young
    told = project.regen("gc", "--dry-run", "--takes").stdout
    assert "would go to the trash for 30 days (back with: regen-vcs gc --undo):" in told
    assert "unneeded, made by texture" in told and "proven here" in told and "back in" in told
    whole = project.regen("gc", "--dry-run", "--grace", "0").stdout
    assert "would be deleted:" in whole and "irreplaceable, though nobody needs it: 1 object, 7.0 kB" in whole
    document = json.loads(project.regen("gc", "--dry-run", "--grace", "0", "--json").stdout)
    assert document["dry_run"] and document["summary"]["swept"]["objects"] == 1 and len(document["irreplaceable"]) == 1
    assert document["objects"][0]["back"]["by"] == "texture"
    done = project.regen("gc", "--takes").stdout
    assert "in the trash" in done
    assert "1 object" in project.regen("gc", "--undo").stdout
    assert "the trash is empty" in project.regen("gc", "--undo").stdout
    assert "freed" in project.regen("gc", "--grace", "0").stdout
    assert "nothing to do" in project.regen("gc", "--grace", "0").stdout
    assert project.regen("fsck").returncode == 0
    assert project.status() == {"a.png": "ok", "photo.jpg": "ok"}


def test_outside_of_a_repository(project):
    project.regen("generate", "a.png", "--generator", "texture", "--param", "width=16", "--param", "height=16")
    project.commit("one")
    done = project.regen("gc", "--grace", "0", cwd=project.user.home)
    assert "nothing to do" in done.stdout
    assert project.status() == {"a.png": "ok"}


@pytest.mark.parametrize("words", [("--grace", "soon"), ("--budget", "lots"), ("--undo", "--auto"), ("--forget", "ab")])
def test_slips_of_the_keyboard(project, words):
    done = project.regen("gc", *words, check=False)
    assert done.returncode == 2 and done.stderr.startswith("error: ")


def test_auto(project, monkeypatch):
    from regen_vcs.engine.gc import background
    from regen_vcs.engine.workspace import Workspace

    started = []
    ws = Workspace.open(str(project.root), project.env | {"REGEN_GC_AUTO": "true"})
    monkeypatch.setattr("regen_vcs.engine.background.start_alone", lambda ws, command, log: started.append(command))
    assert not start_if_low(ws), "there is room enough"
    monkeypatch.setattr(background, "missing_bytes", lambda *folders: 1000)
    assert start_if_low(ws) and started == [["gc", "--auto"]]
    background.collect_if_low(ws)
    assert not start_if_low(ws), "one has just run"
    ws.close()
    quiet = Workspace.open(str(project.root), project.env)
    assert not start_if_low(quiet), "nobody asked for it"
    quiet.close()
    done = project.regen("gc", "--auto")
    assert done.stdout == "" and done.stderr == ""
