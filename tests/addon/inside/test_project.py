"""The project as an artist has it: set up and set up again, snapshots and who takes them, versions, and what their panels say."""

import os
import re
import shutil
import tempfile
import time
from types import SimpleNamespace

import bpy
import pytest
from test_drawing import Layout


def drawn(function, context=None):
    """The words that a part of the panel draws."""
    words = []
    function(Layout(words), context or bpy.context)
    return [word for word in words if word]


def parts():
    from regen_vcs_addon import panels_more

    return panels_more


def main_panel():
    from regen_vcs_addon import panels

    return drawn(panels.draw_main)


def refresh(session):
    session.refresh()
    assert session.wait(60)


def head(project):
    return project.git("rev-parse", "HEAD").stdout


@pytest.fixture
def nobody(project, tmp_path, monkeypatch):
    """A project on a machine where git was never told who uses it."""
    path = tmp_path / "gitconfig"
    path.write_text("[user]\n\tuseConfigOnly = true\n")
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(path))
    return path


def test_the_parts_are_there_before_the_first_asset(session, project):
    project.save()
    assert session.wait(60) and session.usable and not session.rows
    for panel in parts()._CLASSES:
        assert panel.poll(bpy.context), panel.bl_idname
    for _name, _title, draw, _closed in parts().PARTS:
        assert drawn(draw)
    assert bpy.ops.regen.look_at_storage() == {"FINISHED"} and drawn(parts().draw_storage)
    assert bpy.ops.regen.snapshot(message="an empty film") == {"FINISHED"}
    assert project.git("ls-files", "film.blend").stdout.strip() == "film.blend"


def test_a_snapshot_says_that_git_does_not_know_who_you_are(session, project, nobody):
    project.save()
    session.wait(60)
    before = head(project)
    with pytest.raises(RuntimeError, match="does not know who you are"):
        bpy.ops.regen.snapshot(message="one")
    assert head(project) == before


def test_a_snapshot_asks_who_you_are(session, project, nobody):
    from regen_vcs_addon import ops_versions, standing

    project.save()
    session.wait(60)
    assert standing.lacks_who(session)
    kept = nobody.read_text()
    asked = []
    context = SimpleNamespace(window_manager=SimpleNamespace(invoke_props_dialog=lambda operator, width: asked.append(width) or {"RUNNING_MODAL"}))
    told = []
    dialog = SimpleNamespace(message="one", author_name="", author_email="", report=lambda _kind, text: told.append(text))
    kind = ops_versions.REGEN_OT_snapshot
    assert kind.invoke(dialog, context, None) == {"RUNNING_MODAL"} and asked
    assert kind.execute(dialog, bpy.context) == {"CANCELLED"} and "your name" in told[-1]
    for wrong in ("anna", "a b@example.org"):
        with pytest.raises(RuntimeError, match="e-mail"):
            bpy.ops.regen.snapshot(message="one", author_name="Änne", author_email=wrong)
    assert bpy.ops.regen.snapshot(message="one", author_name="-Änne Groß", author_email="anne@example.org") == {"FINISHED"}
    assert project.git("log", "-1", "--format=%an %ae %cn").stdout.strip() == "-Änne Groß anne@example.org -Änne Groß"
    assert nobody.read_text() == kept, "this repository's configuration alone"
    assert not standing.lacks_who(session)
    dialog.execute = lambda _context: {"FINISHED"}
    assert kind.invoke(dialog, context, None) == {"FINISHED"}, "known now, and not asked again"


def test_outdated_is_told_before_git_runs_and_again_where_it_is_refused(session, film):
    assert bpy.ops.regen.snapshot(message="the sky") == {"FINISHED"}
    assert "Snapshot taken: the sky"[:20] in " ".join(drawn(parts().draw_version))
    film.regen("set", "sky.png", "seed=9")
    refresh(session)
    assert any("sky.png" in word for word in drawn(parts().draw_version))
    before = head(film)
    with pytest.raises(RuntimeError, match=r"sky\.png is outdated"):
        bpy.ops.regen.snapshot(message="another sky")
    assert head(film) == before
    notice = session.notices[-1]
    assert notice.part == "version" and "up to date" in notice.hint and "git add" not in notice.text + notice.hint
    assert bpy.ops.regen.regenerate_stale() == {"FINISHED"}
    session.wait(60)
    assert bpy.ops.regen.snapshot(message="another sky") == {"FINISHED"}
    assert not session.documents["snapshot_warning"]


def test_an_unreadable_recipe_is_named(session, film):
    with open(film.path("sky.png.regen.json"), "w") as file:
        file.write("{\n")
    refresh(session)
    assert "sky.png cannot be read" in session.documents["snapshot_warning"][0]
    with pytest.raises(RuntimeError, match=re.escape("sky.png: not JSON")):
        bpy.ops.regen.snapshot(message="broken")


def test_a_new_version(session, film):
    assert bpy.ops.regen.snapshot(message="the sky") == {"FINISHED"}
    assert "main is the only version so far" in drawn(parts().draw_version)
    assert "Switch Version…" not in drawn(parts().draw_version)
    assert bpy.ops.regen.new_version(name=" Nacht über ") == {"FINISHED"}
    session.wait(60)
    assert session.branch == "Nacht-über" and film.git("branch", "--show-current").stdout.strip() == "Nacht-über"
    assert "Switch Version…" in drawn(parts().draw_version) and session.by_path["sky.png"].state == "ok"
    assert bpy.ops.regen.switch_version(name="main") == {"FINISHED"}
    session.wait(60)
    for name, reason in (("nacht ÜBER", "already"), ("a..b", "can be no version's name"), ("-d", "can be no"), ("HEAD", "can be no"), (" ", "a name"), ("x~1", "can be no"), ("main/x", "inside")):
        with pytest.raises(RuntimeError, match=reason):
            bpy.ops.regen.new_version(name=name)
    assert session.branch == "main" and set(session.branches) == {"main", "Nacht-über"}


def test_a_new_version_wants_a_snapshot_first(session, tmp_path):
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film.blend"))
    session.wait(60)
    bpy.ops.regen.setup_project()
    session.wait(60)
    assert drawn(parts().draw_version)[0] == "no snapshot yet"
    with pytest.raises(RuntimeError, match="first snapshot"):
        bpy.ops.regen.new_version(name="night")


def test_set_up_again_where_what_was_set_up_is_gone(session, film):
    assert "Set Up Again…" not in main_panel()
    hook = film.path(".git/hooks/post-checkout")
    os.unlink(hook)
    bpy.ops.wm.open_mainfile(filepath=film.path("film.blend"))
    session.wait(60)
    assert session.usable and "Set Up Again…" in main_panel()
    assert bpy.ops.regen.setup_project() == {"FINISHED"}
    session.wait(60)
    assert os.path.exists(hook) and "Set Up Again…" not in main_panel()


def test_what_the_hooks_start_is_gone(session, film):
    path = film.path(".git/hooks/post-checkout")
    with open(path) as file:
        text = file.read()
    with open(path, "w") as file:
        file.write(re.sub(r"-x \S+", "-x /nowhere/blender/python", text))
    bpy.ops.wm.open_mainfile(filepath=film.path("film.blend"))
    session.wait(60)
    assert "Set Up Again…" in main_panel()


def test_the_preferences_say_which_regen_vcs_is_used(session, film):
    from regen_vcs_addon import prefs

    where, version = prefs.used_program(session)
    assert session.bridge.command.argv[-1] in where
    assert version.removeprefix("Version ") in film.regen("--version").stdout and version != "Version "


def test_without_regen_vcs_it_says_what_to_do(session):
    from regen_vcs_addon import messages
    from regen_vcs_addon.bridge import Absent

    text = " ".join(messages.absent(Absent("regen-vcs is not installed")).lines)
    assert "zip that has it inside" in text and "pipx install regen-vcs" in text


def test_what_storage_has_to_say_is_near_its_buttons(session, film):
    bpy.ops.regen.look_at_storage()
    assert bpy.ops.regen.clean_storage() == {"FINISHED"}
    assert "Storage cleaned" in drawn(parts().draw_storage) and "Storage cleaned" not in drawn(parts().draw_version)
    bpy.ops.regen.dismiss()
    assert "Storage cleaned" not in drawn(parts().draw_storage)


def two_films(film):
    """The film as `main` has it, with an object of that name, and as `other` has it."""
    film.commit("main")
    film.git("branch", "-M", "main")
    film.git("switch", "-qc", "other")
    bpy.data.objects.new("of other", None).use_fake_user = True
    bpy.ops.wm.save_mainfile()
    film.commit("other")
    film.git("switch", "-q", "main")
    bpy.ops.wm.open_mainfile(filepath=film.path("film.blend"))


def objects_in(path):
    """Of a copy: from 5.0 on Blender refuses to look into the file that is open."""
    with tempfile.TemporaryDirectory() as folder, bpy.data.libraries.load(shutil.copy(path, folder)) as (source, _target):
        return list(source.objects)


def test_a_save_over_another_version_of_the_film_keeps_that(session, film):
    """Switched in a terminal, or by a second Blender."""
    two_films(film)
    session.wait(60)
    film.git("switch", "-q", "other")
    assert objects_in(film.path("film.blend")) == ["of other"]
    bpy.ops.wm.save_mainfile()
    assert objects_in(film.path("film.blend")) == [] and objects_in(film.path("film (other).blend")) == ["of other"]
    assert any("another one" in notice.text for notice in session.notices)
    bpy.ops.wm.save_mainfile()
    assert not os.path.exists(film.path("film (other 2).blend")), "only once"


def test_what_is_saved_while_git_switches_is_kept_beside_the_other_film(session, film, monkeypatch):
    from regen_vcs_addon import ops_versions
    from regen_vcs_addon.film_file import film_file

    two_films(film)
    session.wait(60)
    bpy.data.objects.new("done meanwhile", None).use_fake_user = True
    bpy.ops.wm.save_as_mainfile(filepath=film.path("saved.blend"), copy=True)
    original = ops_versions.keep_unsaved

    def meanwhile(blend, before):
        """git has brought the other film; a save writes over it."""
        shutil.copy(film.path("saved.blend"), blend)
        film_file.saved_meanwhile = True
        return original(blend, before)

    monkeypatch.setattr(ops_versions, "keep_unsaved", meanwhile)
    assert bpy.ops.regen.switch_version(name="other") == {"FINISHED"}
    session.wait(60)
    assert "of other" in bpy.data.objects
    assert objects_in(film.path("film (main, not saved).blend")) == ["done meanwhile"]
    assert film.git("status", "--porcelain", "film.blend").stdout == ""


def test_what_is_painted_is_not_lost_in_a_switch(session, film):
    two_films(film)
    session.wait(60)
    image = bpy.data.images.load(film.path("sky.png"))
    image.pixels[:] = [0.5] * len(image.pixels)
    with pytest.raises(RuntimeError, match="painted on"):
        bpy.ops.regen.switch_version(name="other")
    assert film.git("branch", "--show-current").stdout.strip() == "main"
    assert bpy.ops.regen.switch_version(name="other", discard=True) == {"FINISHED"}


def test_what_is_being_made_goes_on_when_another_project_is_opened(session, film, tmp_path):
    with open(film.path("regen.toml"), "a") as file:
        file.write('\n[generators.slow]\nuses = "command"\nargv = ["sh", "-c", "sleep 3; echo made > $0", "{output}"]\n')
    film.regen("trust", "--yes")
    film.regen("generate", "late.txt", "--generator", "command:slow", "--no-run")
    session.refresh()
    session.wait(60)
    session.do("Making late.txt", "regenerate", "--", "late.txt", paths=["late.txt"])
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "elsewhere.blend"))
    assert any("goes on" in notice.text for notice in session.notices)
    deadline = time.monotonic() + 40
    while not os.path.exists(film.path("late.txt")) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert os.path.exists(film.path("late.txt"))
