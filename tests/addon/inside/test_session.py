"""The live session in Blender: what it says of a file, of a project, and of what changes there."""

import os
from types import SimpleNamespace

import bpy
import pytest


def message(session):
    assert session.wait(60)
    return session.message.kind if session.message else None


def test_an_unsaved_file(session):
    assert message(session) == "unsaved"
    assert session.message.operator


def test_a_folder_without_a_project(session, tmp_path):
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film.blend"))
    assert message(session) == "no_repository"


def test_without_regen_vcs(session, project):
    project.save()
    bpy.context.preferences.addons["regen_vcs_addon"].preferences.executable = "/nowhere/regen-vcs"
    assert message(session) == "no_tool"
    assert "/nowhere/regen-vcs" in " ".join(session.message.lines)


def test_something_else_in_its_place(session, project):
    project.save()
    bpy.context.preferences.addons["regen_vcs_addon"].preferences.executable = "/bin/true"
    assert message(session) in ("no_tool", "trouble")


def test_a_clone_that_is_not_set_up(session, project, tmp_path):
    project.save()
    project.commit("film")
    clone = tmp_path / "clone"
    project.git("clone", "-q", project.root, str(clone))
    bpy.ops.wm.open_mainfile(filepath=str(clone / "film.blend"))
    assert message(session) == "not_set_up"
    bpy.ops.regen.setup_project()
    assert message(session) is None


def test_set_up_from_nothing(session, tmp_path):
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film.blend"))
    assert message(session) == "no_repository"
    bpy.ops.regen.setup_project()
    assert message(session) is None
    assert (tmp_path / ".gitattributes").exists() and (tmp_path / ".git").is_dir()


def test_programs_wait_for_a_word(session, project):
    with open(project.path("regen.toml"), "a") as file:
        file.write('\n[generators.copy]\nuses = "command"\nargv = ["cp", "{inputs.image}", "{output}"]\n')
    project.save()
    from regen_vcs_addon import trust_words

    assert message(session) == "not_trusted"
    assert 'argv = ["cp", "{inputs.image}", "{output}"]' in [line.text for line in trust_words.shown_lines(session.trust)]
    bpy.ops.regen.trust_project()
    assert message(session) is None
    assert project.run("regen-vcs", "trust", "--json", check=False).returncode == 0


def test_what_changed_after_it_was_shown_is_not_allowed(session, project):
    with open(project.path("regen.toml"), "a") as file:
        file.write('\n[generators.copy]\nuses = "command"\nargv = ["cp", "{inputs.image}", "{output}"]\n')
    project.save()
    assert message(session) == "not_trusted"
    with open(project.path("regen.toml"), "a") as file:
        file.write('\n[generators.evil]\nuses = "command"\nargv = ["rm", "{inputs.image}", "{output}"]\n')
    with pytest.raises(RuntimeError, match="not what was shown"):
        bpy.ops.regen.trust_project()
    assert session.message.kind == "not_trusted"
    assert project.run("regen-vcs", "trust", "--json", check=False).returncode == 4


def test_in_the_dialog_nothing_is_allowed_before_one_says_to_have_looked(session, project):
    from regen_vcs_addon import ops_trust

    with open(project.path("regen.toml"), "a") as file:
        file.write('\n[generators.copy]\nuses = "command"\nargv = ["cp", "{inputs.image}", "{output}"]\n')
    project.save()
    assert message(session) == "not_trusted"
    told = []
    dialog = SimpleNamespace(_asks=True, _shown=session.trust, looked=False, report=lambda kind, text: told.append(text))
    assert ops_trust.REGEN_OT_trust_project.execute(dialog, bpy.context) == {"CANCELLED"}
    session.wait(60)
    assert "look" in told[0] and session.message.kind == "not_trusted"
    dialog.looked, dialog._shown = True, {}
    assert ops_trust.REGEN_OT_trust_project.execute(dialog, bpy.context) == {"CANCELLED"}, "opened before anything was known"
    assert session.message.kind == "not_trusted"
    dialog._shown = session.trust
    assert ops_trust.REGEN_OT_trust_project.execute(dialog, bpy.context) == {"FINISHED"}
    session.wait(60)
    assert message(session) is None


def test_what_may_run_can_be_read_as_text_and_is_not_saved(session, project):
    from regen_vcs_addon import ops_trust

    with open(project.path("regen.toml"), "a") as file:
        file.write('\n[generators.copy]\nuses = "command"\nargv = ["cp", "{inputs.image}", "{output}"]\n')
    project.save()
    assert message(session) == "not_trusted"
    assert bpy.ops.regen.read_what_may_run() == {"FINISHED"}
    text = bpy.data.texts[ops_trust.TEXT].as_string()
    assert "generators.copy" in text and '"{inputs.image}"' in text and "regen.toml (new)" in text
    bpy.ops.wm.save_mainfile()
    assert ops_trust.TEXT not in bpy.data.texts


def test_rows_and_what_is_missing(session, project):
    project.texture("sky.png", seed=1)
    os.unlink(project.texture("shots/rain.png", seed=2))
    project.save()
    session.wait(60)
    assert [(row.path, row.state) for row in session.rows] == [("shots/rain.png", "missing"), ("sky.png", "ok")]
    assets = bpy.context.window_manager.regen.assets
    assert [asset.name for asset in assets] == ["shots/rain.png", "sky.png"]
    assert any("1 asset is missing" in notice.text for notice in session.notices)


def test_nothing_is_told_twice_and_no_traceback_is_left(session, project, capfd):
    project.texture("sky.png")
    path = project.save()
    session.wait(60)
    bpy.ops.wm.open_mainfile(filepath=path)
    session.wait(60)
    assert "Traceback" not in "".join(capfd.readouterr())


def test_an_asset_as_scripts_see_it(session, project):
    project.texture("sky.png", seed=41)
    project.save("scenes/film.blend")
    session.wait(60)
    asset = bpy.context.window_manager.regen.assets["sky.png"]
    assert asset.get_generation_params()["seed"] == 41
    assert asset.can_regenerate and asset.file_exists and asset.check_file_exists()
    assert asset.output_path == "//../sky.png"
    assert bpy.path.abspath(asset.output_path) and os.path.samefile(bpy.path.abspath(asset.output_path), project.path("sky.png"))
    assert asset.file_hash.startswith("blake3:") and asset.generation_timestamp.endswith("Z")
    assert asset.generation_version == "texture"
    asset.set_generation_params({**asset.get_generation_params(), "seed": 42})
    assert asset.get_generation_params()["seed"] == 42
    session.wait(60)
    assert session.by_path["sky.png"].state == "stale"


def test_dependencies_are_listed(session, project):
    project.texture("sky.png")
    with open(project.path("regen.toml"), "a") as file:
        file.write('\n[generators.copy]\nuses = "command"\nargv = ["cp", "{inputs.image}", "{output}"]\n')
    project.regen("trust", "--yes")
    project.regen("generate", "copy.png", "--generator", "command:copy", "--input", "image=sky.png")
    project.save()
    session.wait(60)
    asset = bpy.context.window_manager.regen.assets["copy.png"]
    assert [(each.role, each.name) for each in asset.depends_on] == [("image", "sky.png")]
    assert session.dependants("sky.png") == ["copy.png"]


def test_another_project_another_session(session, project, tmp_path):
    project.texture("sky.png")
    project.save()
    session.wait(60)
    bpy.ops.wm.read_homefile(use_empty=True)
    assert message(session) == "unsaved"
    assert not session.rows and not session.selected


def test_it_notices_what_git_does(session, project):
    project.texture("sky.png", seed=1)
    project.commit("one")
    project.save()
    session.wait(60)
    project.git("checkout", "-qb", "other")
    project.texture("sky.png", seed=2)
    project.commit("two")
    before = session.by_path["sky.png"].output
    session.poll()
    session.wait(60)
    assert session.by_path["sky.png"].output != before
    assert session.branch == "other" and set(session.branches) == {"main", "other"}


def test_what_is_asked_while_the_same_question_fails_is_asked_again(session, project):
    project.save()
    assert message(session) is None
    failed = []
    for _ in range(3):
        session.questions.ask("show nothing", "show", "--", "nothing.png", on_done=failed.append, on_error=failed.append)
    session.wait(60)
    assert len(failed) == 2 and all(isinstance(each, Exception) for each in failed)
