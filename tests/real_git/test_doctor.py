"""`doctor`: it finds what was broken, names what mends it, and changes nothing."""

from __future__ import annotations

import json
import os
import time

import pytest

from regen_vcs.engine.doctor_stores import LOW_BYTES, file_system, space_finding
from regen_vcs.engine.finding import some
from tests.real_git.recipes import TEXTURE, generated, source, write


def findings(project, cwd=None) -> list[dict]:
    done = project.regen("doctor", "--json", check=False, cwd=cwd)
    document = json.loads(done.stdout)
    problems = [each for each in document["findings"] if each["level"] == "problem"]
    assert document["problems"] == len(problems)
    assert done.returncode == (1 if problems else 0), done.stderr
    return document["findings"]


def said(project, topic: str, level: str) -> dict:
    """The one finding of this topic and level."""
    found = [each for each in findings(project) if (each["topic"], each["level"]) == (topic, level)]
    assert len(found) == 1, found
    return found[0]


def problems(project) -> list[tuple[str, str]]:
    return [(each["topic"], each["what"]) for each in findings(project) if each["level"] == "problem"]


def hook(project, name: str):
    return project.root / ".git" / "hooks" / name


def add_source(project, name: str = "sky.png", data: bytes = b"sky") -> None:
    project.write(name, data)
    project.regen("add", name)
    project.git("add", f"{name}.regen.json")
    project.git("commit", "-qm", name)


def files_below(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_sound_set_up(project):
    add_source(project)
    found = findings(project)
    assert [each for each in found if each["level"] == "problem"] == []
    assert [each["topic"] for each in found if each["level"] == "note"] == ["dangers"]
    topics = {each["topic"] for each in found}
    assert topics >= {"git", "repository", "hooks", "launcher", "trigger", "merge driver", "diff driver", "attributes", "settings",
                      "regen.toml", "keep", "cache", "link", "disk", "generators", "trust", "ignores", "media in git"}
    text = project.regen("doctor").stdout
    assert "no problems, 1 note" in text
    assert "\x1b" not in text


def test_it_changes_nothing(project):
    add_source(project)
    project.write("sky.png", b"edited")
    before = files_below(project.root), files_below(project.user.keep), sorted(map(str, project.user.base.rglob("*")))
    project.regen("doctor")
    after = files_below(project.root), files_below(project.user.keep), sorted(map(str, project.user.base.rglob("*")))
    assert before == after


def test_it_does_not_set_up_what_was_never_set_up(home):
    project = home.repo("bare", init=False)
    before = files_below(project.root)
    found = problems(project)
    assert ("set-up", "regen-vcs was never set up in this repository") in found
    assert {"hooks", "trigger", "merge driver", "diff driver", "attributes"} <= {topic for topic, _ in found}
    assert files_below(project.root) == before


def test_outside_of_a_repository(project):
    found = findings(project, cwd=project.user.work)
    assert found[0]["topic"] == "git" and found[0]["level"] == "ok"
    assert "is not inside a git repository" in found[-1]["what"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_repository_of_somebody_else(project):
    os.chown(project.root, 12345, 12345)
    os.chown(project.root / ".git", 12345, 12345)
    found = findings(project)[-1]
    assert "does not trust this repository's owner" in found["what"]
    assert found["mend"].startswith("git config --global --add safe.directory ")


# --- hooks ------------------------------------------------------------------------------------------------


def test_a_missing_hook(project):
    hook(project, "post-merge").unlink()
    finding = said(project, "hooks", "problem")
    assert finding["what"] == "not in place: post-merge" and finding["mend"] == "regen-vcs init"
    assert said(project, "trigger", "problem")["what"].startswith("none")
    project.regen("init")
    assert problems(project) == []


def test_a_foreign_hook_in_place_of_ours(project):
    hook(project, "pre-push").write_text("#!/bin/sh\nexit 0\n")
    assert said(project, "hooks", "problem")["what"] == "another program's, without ours: pre-push"


def test_a_chained_hook_is_told(home):
    project = home.repo("film", init=False)
    hook(project, "pre-push").write_text("#!/bin/sh\nexit 0\n")
    hook(project, "pre-push").chmod(0o755)
    project.regen("init")
    assert {"run after another program's: pre-push"} < {each["what"] for each in findings(project) if each["topic"] == "hooks"}


def test_a_hook_that_cannot_run(project):
    hook(project, "pre-commit").chmod(0o644)
    assert said(project, "hooks", "problem")["what"] == "not executable, so git passes them over: pre-commit"


def test_a_launcher_that_is_gone(project):
    for path in (project.root / ".git" / "hooks").iterdir():
        path.write_text(path.read_text().replace("if [ -x '", "if [ -x '/gone"))
    finding = said(project, "launcher", "problem")
    assert finding["what"].startswith("the hooks start /gone/") and finding["mend"] == "regen-vcs init"


def test_hooks_of_another_version(project):
    path = hook(project, "post-merge")
    path.write_text(path.read_text() + "# older\n")
    assert said(project, "launcher", "note")["what"].startswith("1 hook of another version")


def test_hooks_that_are_not_ours_to_write(home):
    project = home.repo("film", init=False)
    project.git("config", "core.hooksPath", str(project.user.home / "hooks"))
    project.regen("init")
    project.git("add", "-A")
    project.git("commit", "-qm", "init")
    notes = [each["what"] for each in findings(project) if each["topic"] == "hooks"]
    assert notes[0].startswith("core.hooksPath names ")
    if project.git("version").stdout < "git version 2.54":
        assert notes[1].startswith("to be added by hand in ")
        assert said(project, "trigger", "ok")["what"].startswith("filter: ")


# --- drivers and triggers ---------------------------------------------------------------------------------


def test_a_missing_driver(project):
    project.git("config", "--unset", "merge.regen.driver")
    assert said(project, "merge driver", "problem")["what"] == "not set: sidecars merge as plain text"


def test_a_driver_whose_program_is_gone(project):
    project.git("config", "diff.regen.textconv", "'/gone/python' -I -m regen_vcs textconv")
    assert said(project, "diff driver", "problem")["what"] == "starts /gone/python, which is gone"


def test_a_filter_that_is_not_isolated(project):
    project.git("config", "filter.regen.process", "python3 -m regen_vcs filter-process")
    assert said(project, "trigger", "note")["what"].startswith("hooks and filter are both at work")
    assert said(project, "filter", "problem")["what"].startswith("its Python is not isolated")


def test_a_required_filter(project):
    project.git("config", "filter.regen.required", "true")
    assert said(project, "filter", "note")["mend"] == "git config --unset filter.regen.required"


def test_a_clone_under_global_drivers(home):
    project = home.repo("film", init=False)
    project.regen("install", "--global")
    project.write(".gitattributes", b"*.regen.json filter=regen merge=regen diff=regen text eol=lf\n")
    assert said(project, "trigger", "ok")["what"].startswith("filter: ")


# --- attributes and ignores --------------------------------------------------------------------------------


def test_attributes_that_another_line_overrules(project):
    with open(project.path(".gitattributes"), "a") as file:
        file.write("*.json -text\n")
    found = [each["what"] for each in findings(project) if each["topic"] == "attributes"]
    assert found == ["text of sidecars is 'unset', not 'set': .gitattributes says so for *.json"]


def test_attributes_that_a_folder_overrules(project):
    project.write("shots/.gitattributes", b"*.json merge=ours\n")
    project.git("add", "shots/.gitattributes")
    finding = said(project, "attributes", "problem")
    assert finding["what"].startswith("merge of sidecars in shots/ is 'ours', not 'regen'")
    assert finding["mend"] == "mend shots/.gitattributes"


def test_attributes_that_nobody_committed(home):
    project = home.repo("film", init=False)
    project.regen("init")
    assert said(project, "attributes", "note")["mend"] == "git add .gitattributes"


def test_media_that_git_would_add(project):
    add_source(project)
    exclude = project.root / ".git" / "info" / "exclude"
    exclude.write_text("")
    finding = said(project, "ignores", "problem")
    assert finding["what"] == "git would add as raw bytes: sky.png"


def test_a_sidecar_that_is_ignored(project):
    project.write(".gitignore", b"*.json\n")
    project.write("sky.png", b"sky")
    project.regen("add", "sky.png")
    finding = said(project, "ignores", "problem")
    assert finding["what"] == "a .gitignore hides 1 sidecar, so nobody can add it: sky.png.regen.json"


def test_media_in_git(project):
    project.write("sky.png", b"sky")
    project.regen("add", "sky.png")
    project.git("add", "-f", "sky.png", "sky.png.regen.json")
    finding = said(project, "media in git", "problem")
    assert finding["what"] == "git has the raw bytes of sky.png" and finding["mend"] == "git rm --cached sky.png"


# --- stores -----------------------------------------------------------------------------------------------


def test_a_store_that_cannot_be_written(project):
    project.user.keep.parent.joinpath("a file").write_text("")
    project.env["REGEN_KEEP_DIR"] = str(project.user.base / "a file" / "keep")
    finding = said(project, "keep", "problem")
    assert "is not a folder" in finding["what"] and "REGEN_KEEP_DIR in the environment" in finding["what"]


def test_stores_inside_the_worktree_or_each_other(project):
    project.env["REGEN_KEEP_DIR"] = str(project.root / "store")
    assert said(project, "keep", "problem")["what"].startswith("keep lies inside the working tree")
    project.env["REGEN_KEEP_DIR"] = str(project.user.cache / "keep")
    assert said(project, "keep", "problem")["what"] == "keep lies inside the cache, which cleaners may empty"


def test_one_folder_for_both_stores(project):
    project.env["REGEN_KEEP_DIR"] = project.env["REGEN_CACHE_DIR"]
    assert said(project, "keep", "note")["what"].startswith("keep and cache are one folder")


def test_damaged_objects(project):
    add_source(project)
    path = next(path for path in project.user.keep.rglob("objects/*/*") if path.read_bytes() == b"sky")
    path.chmod(0o644)
    path.write_bytes(b"sly")
    project.path("sky.png").unlink()
    project.regen("sync", check=False)
    assert said(project, "objects", "problem")["mend"] == "regen-vcs fsck"


def test_disks():
    assert space_finding("keep", LOW_BYTES - 1).level == "problem"
    assert space_finding("keep", LOW_BYTES).level == "ok"
    assert file_system("/") or not os.path.exists("/proc/self/mounts")


# --- configuration ----------------------------------------------------------------------------------------


def test_an_invalid_regen_toml(project):
    project.path("regen.toml").write_text("[generators.x]\nuses = 3\n")
    assert "generators" in said(project, "regen.toml", "problem")["what"]


def test_an_invalid_setting(project):
    project.git("config", "regen.checkoutWait", "soon")
    assert "regen.checkoutWait in git config" in said(project, "settings", "problem")["what"]


def test_an_invalid_store_path_hides_nothing_else(project):
    project.env["REGEN_KEEP_DIR"] = "relative/keep"
    found = findings(project)
    assert found[-1]["topic"] == "settings" and found[-1]["level"] == "problem"
    assert any(each["topic"] == "hooks" for each in found)


def test_unknown_settings(project):
    project.env["REGEN_CASHE_DIR"] = "/x"
    assert said(project, "settings", "note")["what"].startswith("REGEN_CASHE_DIR, from the environment, is no setting")


def test_generators_that_recipes_need(project):
    write(project, "sky.png", generated("sky.png", None, TEXTURE, generator="nebula"))
    write(project, "up.png", generated("up.png", None, {}, generator="command:upscale"))
    project.git("add", "-A")
    found = [each["what"] for each in findings(project) if (each["topic"], each["level"]) == ("generators", "problem")]
    assert any(what.startswith("no generator 'nebula' is installed; 1 recipe needs it") for what in found)
    assert any("regen.toml has no [generators.upscale]" in what for what in found)


def test_what_is_not_trusted(project):
    with open(project.path("regen.toml"), "a") as file:
        file.write('[generators.up]\nuses = "command"\nargv = ["true"]\n')
    assert said(project, "trust", "note")["what"] == "not trusted, so not run here: regen.toml"
    project.regen("trust", "--yes")
    assert said(project, "trust", "ok")["what"] == "you trust all that could run here (1 file)"


def test_invalid_sidecars(project):
    project.write("bad.png.regen.json", b"not JSON")
    project.git("add", "-A")
    assert said(project, "recipes", "problem") == {
        "topic": "recipes", "level": "problem", "what": "not valid: bad.png", "mend": "regen-vcs check",
    }


# --- what git is in the middle of -------------------------------------------------------------------------


def test_an_index_lock(project):
    lock = project.root / ".git" / "index.lock"
    lock.write_bytes(b"")
    found = [each for each in findings(project) if "index.lock" in each["what"]]
    assert [each["level"] for each in found] == ["note"]
    long_ago = time.time() - 3600
    os.utime(lock, (long_ago, long_ago))
    found = [each for each in findings(project) if "index.lock" in each["what"]]
    assert [each["level"] for each in found] == ["problem"] and found[0]["mend"].startswith("rm ")


def test_an_operation_that_stopped(project):
    add_source(project)
    project.git("branch", "theirs")
    write(project, "sky.png", source(b"ours"), b"ours")
    project.git("commit", "-qam", "ours")
    project.git("switch", "-q", "theirs")
    write(project, "sky.png", source(b"theirs"), b"theirs")
    project.git("commit", "-qam", "theirs")
    project.git("merge", "main", check=False)
    found = [each["what"] for each in findings(project) if each["level"] == "note"]
    assert "in the middle of a merge: git status says how to go on" in found
    assert any(what.startswith("in conflict") for what in found)


def test_a_linked_worktree(project):
    add_source(project)
    second = project.user.work / "second"
    project.git("worktree", "add", "-q", str(second))
    found = findings(project, cwd=second)
    assert [each["what"] for each in found if each["level"] == "problem"] == []
    assert any("a linked worktree" in each["what"] for each in found)


def test_lists_are_short():
    assert some(["a", "b"]) == "a, b"
    assert some(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
