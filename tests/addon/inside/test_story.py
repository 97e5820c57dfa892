"""An artist's day, headless: see artists_day.py."""

import shutil

import bpy
from artists_day import clone_of_a_film, live


def test_from_a_fresh_clone_to_another_branch(addon, project, tmp_path):
    from regen_vcs_addon import state

    session = state.get()
    shutil.rmtree(clone_of_a_film(session, project, tmp_path / "clone"))
    bpy.ops.wm.open_mainfile(filepath=project.path("film.blend"))
    session.wait(60)
    moments = []
    for moment in live(session, project):
        session.wait(120)
        moments.append(moment)
    assert moments[-1] == "end"
