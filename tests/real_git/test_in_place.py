"""The second layout: the recipe is the blob, the picture is the file. Every test looks at real git."""

from __future__ import annotations

import json
import os
import shutil
import time

import pytest
from blake3 import blake3

from regen_vcs.engine.in_place_filter import BYTES, DAMAGED, DOCUMENT, classify
from regen_vcs.model.recipe import parse_recipe, recipe_bytes
from tests.conftest import Home, Project
from tests.real_git.film import media_bytes

NAMES = ("sky.png", "shots/010/plate.png", "dir/ü c.png", "leer.png")


def bytes_of(name: str, version: int) -> bytes:
    return b"" if name == "leer.png" else media_bytes(name, version)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """main: four pictures in version 1. two: sky.png in version 2, `dir/ü c.png` removed, neu.png added."""
    project = Home(tmp_path_factory.mktemp("template")).repo()
    project.regen("track", "--in-place", "*.png")
    for name in NAMES:
        project.write(name, bytes_of(name, 1))
    project.commit("one")
    project.git("switch", "-qc", "two")
    project.write("sky.png", bytes_of("sky.png", 2))
    project.git("rm", "-q", "dir/ü c.png")
    project.write("neu.png", bytes_of("neu.png", 1))
    project.commit("two")
    project.git("switch", "-q", "main")
    return project


@pytest.fixture
def film(template, home):
    """A copy of the template: repository and store."""
    shutil.copytree(template.root, home.work / "film", symlinks=True)
    shutil.copytree(template.user.keep, home.keep)
    project = Project(home, home.work / "film")
    project.git("update-index", "-q", "--refresh")
    return project


def blob(project, name: str, revision: str = "") -> bytes:
    """What git has, unconverted."""
    return project.git("cat-file", "blob", f"{revision}:{name}").stdout.encode()


def document(project, name: str, revision: str = "") -> dict:
    return json.loads(blob(project, name, revision))


def hash_of(data: bytes) -> str:
    return "blake3:" + blake3(data).hexdigest()


def is_document(project, name: str) -> bool:
    return classify(project.path(name).read_bytes(), name)[0] == DOCUMENT


def git_status(project, **kwargs) -> str:
    return project.git("status", "--porcelain", **kwargs).stdout


def assert_pictures(project, **versions: int) -> None:
    """Every picture that git has is on disk as what its document names, and git sees nothing changed."""
    names = project.git("ls-files", "-z", "*.png").stdout.split("\0")[:-1]
    for name in names:
        data = project.path(name).read_bytes()
        assert (data or blob(project, name)) == b"" or document(project, name)["output"]["hash"] == hash_of(data), name
    for name, version in versions.items():
        assert project.path(f"{name}.png").read_bytes() == bytes_of(f"{name}.png", version)
    assert git_status(project) == ""


def wipe_stores(project):
    """Move the stores away; the way back."""
    for store in (project.user.keep, project.user.cache):
        if store.exists():
            store.rename(f"{store}-away")

    def restore():
        for store in (project.user.keep, project.user.cache):
            shutil.rmtree(store, ignore_errors=True)
            if os.path.exists(f"{store}-away"):
                os.rename(f"{store}-away", store)

    return restore


# --- add, commit, checkout ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_blob_is_the_document(film, name):
    data = bytes_of(name, 1)
    text = blob(film, name)
    if not data:
        assert text == b"", "an empty file is its own document"
        return
    assert document(film, name)["output"] == {"hash": hash_of(data), "size": len(data)}
    assert recipe_bytes(parse_recipe(text, name)) == text
    assert film.path(name).read_bytes() == data
    assert_pictures(film)


def test_media_facts_of_a_real_picture(film):
    film.regen("generate", "real.png", "--generator", "texture", "--param", "width=32", "--param", "height=16", "--param", "seed=1")
    shutil.copy(film.path("real.png"), film.path("copy.png"))
    film.git("add", "copy.png")
    assert document(film, "copy.png")["output"]["media"]["width"] == 32


def test_switch_to_and_fro(film):
    film.git("switch", "-q", "two")
    assert_pictures(film, sky=2, neu=1)
    assert not film.path("dir/ü c.png").exists()
    film.git("switch", "-q", "main")
    assert_pictures(film, sky=1)
    assert not film.path("neu.png").exists()


def test_status_stays_clean_whatever_the_time_stamps_say(film):
    for name in NAMES:
        os.utime(film.path(name))
    assert_pictures(film)
    film.git("add", "-A")
    assert film.git("diff", "--cached", "--name-only").stdout == ""


def test_a_document_passes_clean_unchanged(film):
    text = blob(film, "sky.png")
    film.path("sky.png").write_bytes(text)
    film.git("add", "-A")
    assert blob(film, "sky.png") == text and git_status(film) == ""


def test_a_hand_formatted_document_is_left_as_it_is(film):
    text = json.dumps(document(film, "sky.png")).encode()
    film.path("sky.png").write_bytes(text)
    film.git("add", "sky.png")
    assert blob(film, "sky.png") == text
    film.git("commit", "-qm", "formatted")
    film.regen("sync")
    assert_pictures(film, sky=1)


def test_an_edit_keeps_meta_and_drops_the_review(film):
    text = document(film, "sky.png")
    text["meta"] = {"shot": "010"}
    text["review"] = {"state": "approved", "hash": text["output"]["hash"]}
    film.path("sky.png").write_text(json.dumps(text))
    film.commit("reviewed")
    film.write("sky.png", b"retouched")
    film.git("add", "sky.png")
    after = document(film, "sky.png")
    assert after["meta"] == {"shot": "010"} and "review" not in after
    assert after["output"]["hash"] == hash_of(b"retouched")
    film.write("sky.png", bytes_of("sky.png", 1))
    film.git("add", "sky.png")
    film.git("reset", "-q")
    assert git_status(film) == "", "the old bytes are the old document again, with its review"


def test_reset_hard_and_restore(film):
    film.write("sky.png", b"an edit that was staged")
    film.git("add", "sky.png")
    film.git("reset", "-q", "--hard")
    assert_pictures(film, sky=1)
    film.path("sky.png").unlink()
    assert film.status()["sky.png"] == "missing"
    film.git("restore", "sky.png")
    film.git("reset", "-q", "--hard", "two")
    assert_pictures(film, sky=2)


def test_stash_and_pop(film):
    film.write("sky.png", b"half done")
    film.write("new.png", b"not yet known to git")
    film.git("stash", "-q", "-u")
    assert_pictures(film, sky=1)
    assert not film.path("new.png").exists()
    film.git("stash", "pop", "-q")
    assert film.path("sky.png").read_bytes() == b"half done"
    assert film.path("new.png").read_bytes() == b"not yet known to git"


def test_a_rebase_and_a_cherry_pick(film):
    film.write("notes.txt", b"main goes on\n")
    film.write("leer.png", b"no longer empty")
    film.commit("main goes on")
    film.git("switch", "-q", "two")
    for version in range(3, 6):
        film.write("sky.png", bytes_of("sky.png", version))
        film.commit(f"version {version}")
    film.git("rebase", "-q", "main")
    assert_pictures(film, sky=5)
    film.git("switch", "-q", "main")
    film.git("merge", "-q", "two")
    assert_pictures(film, sky=5)
    film.git("reset", "-q", "--hard", "two~1")
    film.git("cherry-pick", "two")
    assert_pictures(film, sky=5)
    film.git("revert", "--no-edit", "HEAD")
    assert_pictures(film, sky=4)


def test_commit_a_and_commit_of_paths(film):
    film.write("sky.png", b"one")
    film.git("commit", "-qam", "all")
    film.write("sky.png", b"two")
    film.git("commit", "-qm", "only", "--", "sky.png")
    assert document(film, "sky.png", "HEAD")["output"]["hash"] == hash_of(b"two")
    assert_pictures(film)


def test_an_executable_stays_one(film):
    film.path("sky.png").chmod(0o755)
    film.commit("executable")
    film.git("switch", "-q", "two")
    film.git("switch", "-q", "main")
    assert film.path("sky.png").stat().st_mode & 0o111
    film.path("sky.png").write_bytes(blob(film, "sky.png"))
    film.regen("sync")
    assert film.path("sky.png").stat().st_mode & 0o111
    assert_pictures(film, sky=1)


def test_from_a_subfolder(film):
    folder = film.path("shots/010")
    (folder / "plate.png").write_bytes(b"edited below")
    done = film.git("diff", "--", "plate.png", cwd=folder)
    assert hash_of(b"edited below") in done.stdout
    film.git("add", "plate.png", cwd=folder)
    assert film.regen("status", cwd=folder).returncode == 0
    film.git("commit", "-qm", "below", cwd=folder)
    assert_pictures(film)


# --- diff, merge -------------------------------------------------------------------------------------------------


def test_diff_shows_the_recipe(film):
    film.write("sky.png", b"\x89PNG edited \0 bytes")
    for argv in (["diff"], ["diff", "main", "two", "--", "sky.png"], ["diff", "two", "--", "sky.png"]):
        text = film.git(*argv).stdout
        assert '+    "hash": "blake3:' in text and "\0" not in text and "Binary" not in text, argv
    film.git("add", "-A")
    assert hash_of(b"\x89PNG edited \0 bytes") in film.git("diff", "--cached").stdout


def test_a_merge_without_conflict_takes_both_sides(film):
    text = document(film, "sky.png")
    text["meta"] = {"tags": ["hero"]}
    film.path("sky.png").write_text(json.dumps(text))
    film.commit("tagged")
    film.git("merge", "-q", "-m", "merge", "two")
    merged = document(film, "sky.png")
    assert merged["meta"] == {"tags": ["hero"]} and merged["output"]["hash"] == hash_of(bytes_of("sky.png", 2))
    assert_pictures(film, sky=2, neu=1)


def test_a_conflict_is_in_the_document_and_can_be_resolved_by_bytes(film):
    film.write("sky.png", b"our own")
    film.commit("ours")
    assert film.git("merge", "-q", "two", check=False).returncode == 1
    text = film.path("sky.png").read_bytes()
    assert b"<<<<<<<" in text and classify(text, "sky.png")[0] == DAMAGED
    assert film.status()["sky.png"] == "invalid"
    assert film.git("diff").returncode == 0
    assert git_status(film).splitlines()[0] == "A  neu.png" or "UU sky.png" in git_status(film)
    film.git("checkout", "--theirs", "sky.png")
    assert film.path("sky.png").read_bytes() == bytes_of("sky.png", 2)
    film.git("add", "sky.png")
    film.git("commit", "-qm", "merged")
    assert blob(film, "sky.png") == blob(film, "sky.png", "two")
    assert_pictures(film, sky=2)


def test_a_conflict_marked_document_is_never_taken_for_a_picture(film):
    film.write("sky.png", b"our own")
    film.commit("ours")
    film.git("merge", "-q", "two", check=False)
    text = film.path("sky.png").read_bytes()
    film.git("add", "sky.png")
    assert blob(film, "sky.png") == text
    assert film.status()["sky.png"] == "invalid"


def test_a_merge_that_is_aborted(film):
    film.write("sky.png", b"our own")
    film.commit("ours")
    film.git("merge", "-q", "two", check=False)
    film.git("merge", "--abort")
    assert film.path("sky.png").read_bytes() == b"our own"
    assert_pictures(film)


# --- clones, lost stores -----------------------------------------------------------------------------------------


def clone(film, name: str):
    film.git("clone", "-q", str(film.root), str(film.user.work / name))
    other = type(film)(film.user, film.user.work / name)
    return other


def test_a_clone_under_install_global(film):
    film.regen("install", "--global")
    other = clone(film, "clone")
    assert_pictures(other, sky=1)
    other.git("switch", "-q", "two")
    assert_pictures(other, sky=2, neu=1)


def test_a_clone_without_the_tool_has_documents_and_init_swaps_them(film):
    other = clone(film, "clone")
    assert is_document(other, "sky.png") and git_status(other) == ""
    assert "regen-vcs init" in other.regen("sync").stderr, "without the filter bytes would look edited to git"
    assert is_document(other, "sky.png")
    other.regen("init")
    assert_pictures(other, sky=1)


def test_lost_stores_leave_documents_and_sync_brings_the_bytes_when_they_are_back(film):
    restore = wipe_stores(film)
    done = film.git("switch", "-q", "two")
    assert "1 in-place asset missing" not in done.stderr and "2 in-place assets missing" in done.stderr
    assert is_document(film, "sky.png") and git_status(film) == ""
    assert film.status()["sky.png"] == "missing"
    assert "not to be had" in film.regen("sync").stderr
    restore()
    assert film.status()["sky.png"] == "missing"
    assert "2 brought" in film.regen("sync").stdout
    assert_pictures(film, sky=2, neu=1)
    assert film.status() == dict.fromkeys(["leer.png", "neu.png", "shots/010/plate.png", "sky.png"], "ok")


def test_dry_run_swaps_nothing(film):
    film.path("sky.png").write_bytes(blob(film, "sky.png"))
    assert "would materialise sky.png" in film.regen("sync", "--dry-run").stdout
    assert is_document(film, "sky.png")


def test_a_document_edited_by_hand_is_not_swapped(film):
    text = document(film, "sky.png")
    text["meta"] = {"shot": "020"}
    film.path("sky.png").write_text(json.dumps(text))
    film.regen("sync")
    assert is_document(film, "sky.png") and film.status()["sky.png"] == "modified"


def test_a_damaged_object_leaves_the_document(film):
    stored = next(film.user.keep.rglob(blake3(bytes_of("sky.png", 2)).hexdigest()[2:]))
    stored.chmod(0o644)
    stored.write_bytes(b"rotten")
    film.git("switch", "-q", "two")
    assert is_document(film, "sky.png") and git_status(film) == ""


def test_full_stores_fail_git_add_and_nothing_is_lost(film):
    if os.geteuid() == 0:
        film.env["REGEN_KEEP_DIR"] = "/proc/nowhere"
    else:
        film.env["REGEN_KEEP_DIR"] = str(film.user.base / "read-only" / "keep")
        (film.user.base / "read-only").mkdir(mode=0o555)
    film.write("sky.png", b"cannot be stored")
    done = film.git("add", "sky.png", check=False)
    assert done.returncode != 0 and film.path("sky.png").read_bytes() == b"cannot be stored"
    assert document(film, "sky.png")["output"]["hash"] == hash_of(bytes_of("sky.png", 1))


# --- generators --------------------------------------------------------------------------------------------------


def generated(film, name: str = "gen.png"):
    """A generated asset of the first layout, from before the pattern was set, brought over to the second."""
    film.regen("untrack", "--in-place", "*.png")
    film.regen("generate", name, "--generator", "texture", "--param", "width=32", "--param", "height=32", "--param", "seed=7")
    film.regen("track", "--in-place", "*.png")
    film.git("add", "-f", name)
    film.git("rm", "-qf", "--cached", f"{name}.regen.json", check=False)
    film.path(f"{name}.regen.json").unlink()
    film.commit("generated")
    assert film.path(name).exists()
    return film.path(name).read_bytes()


def test_a_sidecar_becomes_the_document(film):
    data = generated(film)
    assert document(film, "gen.png")["generator"] == "texture"
    assert_pictures(film)
    film.regen("sync")
    assert film.path("gen.png").read_bytes() == data and film.status()["gen.png"] == "ok"


def test_a_lost_generated_asset_is_made_again_by_sync(film):
    data = generated(film)
    film.git("switch", "-q", "two")
    wipe_stores(film)
    done = film.git("switch", "-q", "main")
    assert is_document(film, "gen.png") and "1 to regenerate" in done.stderr
    film.regen("sync", check=False)
    assert film.path("gen.png").read_bytes() == data
    assert film.status()["gen.png"] == "ok"
    assert document(film, "gen.png")["generator"] == "texture"


def test_painting_over_a_generated_asset_makes_it_a_source(film):
    generated(film)
    film.write("gen.png", b"painted over")
    film.git("add", "gen.png")
    after = document(film, "gen.png")
    assert "generator" not in after and after["meta"]["made_from"]["generator"] == "texture"


def test_another_take_of_the_same_key_keeps_the_recipe(film):
    from regen_vcs.stores.results import Results

    generated(film)
    key = document(film, "gen.png")["output"]["key"]
    take = {"hash": hash_of(b"another take"), "size": 12}
    Results(str(film.user.keep / "v1")).record(key, take["hash"].removeprefix("blake3:"), {"at": "2026", "output": take})
    film.write("gen.png", b"another take")
    film.git("add", "gen.png")
    after = document(film, "gen.png")
    assert after["generator"] == "texture" and after["output"]["hash"] == take["hash"] and after["output"]["key"] == key


# --- edits, history, patterns ------------------------------------------------------------------------------------


def test_status_keeps_an_edit_before_git_destroys_it(film):
    film.write("sky.png", b"an unstaged edit")
    assert film.status()["sky.png"] == "modified"
    film.git("checkout", "-q", "--", "sky.png")
    assert_pictures(film, sky=1)
    assert any(film.user.keep.rglob(blake3(b"an unstaged edit").hexdigest()[2:]))


def test_raw_history_passes_through(home):
    project = home.repo()
    project.write("old.png", b"raw in history \0")
    project.commit("raw")
    project.regen("track", "--in-place", "*.png")
    project.git("add", ".gitattributes")
    project.git("commit", "-qm", "track")
    assert project.status()["old.png"] == "unmanaged"
    project.git("add", "--renormalize", ".")
    project.git("commit", "-qm", "documents")
    assert document(project, "old.png")["output"]["hash"] == hash_of(b"raw in history \0")
    for revision in ("main~1", "main~2", "main"):
        project.git("checkout", "-qf", revision)
        assert project.path("old.png").read_bytes() == b"raw in history \0"
    assert_pictures(project)
    assert "Binary" not in project.git("diff", "HEAD~2", "HEAD").stdout


def test_sidecars_beside_live_on(film):
    film.write("voice.wav", b"sound" * 100)
    film.regen("add", "voice.wav")
    film.commit("both layouts")
    film.path("voice.wav").unlink()
    film.regen("sync")
    assert film.path("voice.wav").exists()
    assert film.status()["voice.wav"] == "ok" and film.status()["sky.png"] == "ok"


def test_add_leaves_what_is_kept_in_place_to_git(film):
    film.write("shots/020/new.png", b"new")
    film.write("shots/020/new.wav", b"sound")
    done = film.regen("add", "shots/020/new.png", check=False)
    assert done.returncode == 3 and "git add" in done.stderr
    film.regen("add", "shots")
    assert film.path("shots/020/new.wav.regen.json").exists()
    assert not list(film.path("shots").rglob("*.png.regen.json"))


@pytest.mark.parametrize("pattern", ["*", "**", "*.json", ".git*", "shots/**", "regen.*", "# x", "shots/", ""])
def test_patterns_that_take_too_much_are_refused(home, pattern):
    project = home.repo()
    before = project.path(".gitattributes").read_bytes()
    done = project.regen("track", "--in-place", pattern, check=False)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert project.path(".gitattributes").read_bytes() == before


def test_track_lists_and_untrack_takes_back(home):
    project = home.repo()
    before = project.path(".gitattributes").read_bytes()
    assert "git add .gitattributes" in project.regen("track", "--in-place", "*.png", "my media/*.exr").stdout
    assert "already" in project.regen("track", "--in-place", "*.png").stdout
    assert project.regen("track", "--in-place").stdout.splitlines() == ["*.png", "my media/*.exr"]
    project.regen("init")
    assert project.regen("track", "--in-place").stdout.splitlines() == ["*.png", "my media/*.exr"]
    assert project.regen("untrack", "--in-place", "*.tga", check=False).returncode == 2
    project.regen("untrack", "--in-place", "*.png", "my media/*.exr")
    assert project.path(".gitattributes").read_bytes() == before


@pytest.mark.parametrize("initialised", [True, False])
def test_uninstall_restores_every_byte(home, initialised):
    project = home.repo(init=False)
    project.write(".gitattributes", b"*.txt text\n")
    config = project.path(".git/config").read_bytes()
    if initialised:
        project.regen("init")
    project.regen("track", "--in-place", "*.png")
    project.write("a.png", b"a")
    project.git("add", "a.png")
    assert document(project, "a.png")["output"]["size"] == 1
    project.regen("uninstall")
    assert project.path(".gitattributes").read_bytes() == b"*.txt text\n"
    assert project.path(".git/config").read_bytes() == config


def test_a_linked_worktree(film):
    film.git("worktree", "add", "-q", "../other", "two")
    other = type(film)(film.user, film.user.work / "other")
    assert_pictures(other, sky=2, neu=1)
    other.write("sky.png", b"from the other worktree")
    other.commit("edit")
    assert_pictures(other)
    assert_pictures(film, sky=1)


def test_what_is_a_document():
    text = b'{\n  "output": {\n    "hash": "blake3:%b",\n    "size": 3\n  },\n  "regen": 1\n}\n' % (b"0" * 64)
    assert classify(text, "a")[0] == DOCUMENT
    for damaged in (text[:-3], b"<<<<<<< ours\n" + text, text.replace(b'"regen": 1', b'"regen": 99'), text.replace(b"size", b"sise")):
        assert classify(damaged, "a")[0] == DAMAGED
    for other in (b"", b"\x89PNG\r\n", b"{}", b'{"asset": {}}', b'[{"regen": 1}]', text + b"\0", b" " * (1 << 20) + text):
        assert classify(other, "a")[0] == BYTES


# --- many --------------------------------------------------------------------------------------------------------


def test_two_hundred_files(home):
    """Sanity, not a benchmark: nothing is quadratic, and no command starts a process for each file."""
    project = home.repo()
    project.regen("track", "--in-place", "*.png")
    for number in range(200):
        project.write(f"shots/{number % 10}/{number}.png", f"{number} ".encode() * 2000)
    timings = {}

    def timed(name, *argv):
        started = time.monotonic()
        project.git(*argv)
        timings[name] = time.monotonic() - started

    timed("add", "add", "-A")
    project.git("commit", "-qm", "many")
    for number in range(200):
        os.utime(project.path(f"shots/{number % 10}/{number}.png"))
    timed("status", "status", "--porcelain")
    shutil.rmtree(project.path("shots"))
    timed("checkout", "checkout", "-q", "--", ".")
    assert_pictures(project)
    print({name: round(seconds, 3) for name, seconds in timings.items()})
    assert max(timings.values()) < 30, timings
