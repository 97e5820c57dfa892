"""An artist's day, from a fresh clone to another branch's frames on screen. Only buttons are pressed.

`test_story.py` lives it headless, `window/day.py` in a window, where answers come in through the timer.
"""

import os
import shutil

import bpy

CONFIG = """
[generators.paint]
uses = "command"
argv = ["python3", "{code}/paint.py", "{output}", "{params.prompt}"]
code = ["tools/paint.py"]

[generators.paint.params]
prompt = {type = "string"}
"""
SHOTS = [f"shots/{number:02d}.png" for number in range(1, 13)]


def clone_of_a_film(session, project, target):
    """A film of twelve shots that somebody else made, cloned onto a machine with empty stores."""
    os.makedirs(project.path("tools"))
    painter = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "paint.py")
    shutil.copy(painter, project.path("tools/paint.py"))
    with open(project.path("regen.toml"), "a") as file:
        file.write(CONFIG)
    project.regen("trust", "--yes")
    for number, shot in enumerate(SHOTS):
        project.regen("generate", shot, "--no-run", "--generator", "command:paint", "--param", f"prompt=shot {number}")
    project.regen("regenerate", "--jobs", "2", *SHOTS)
    project.save()
    session.wait(60)
    for number, shot in enumerate(SHOTS):
        bpy.context.scene.frame_set(1 + 50 * number)
        bpy.ops.regen.add_to_scene(asset_id=shot, way="STRIP")
        bpy.data.images.load(project.path(shot)).use_fake_user = True
    bpy.ops.regen.make_relative()
    bpy.ops.wm.save_mainfile()
    session.wait(60)
    project.commit("twelve shots")
    session.wait(60)
    project.git("clone", "-q", project.root, str(target))
    for name in ("REGEN_KEEP_DIR", "REGEN_CACHE_DIR"):
        shutil.rmtree(os.environ[name], ignore_errors=True)
    project.regen("trust", "--revoke")
    old, project.root = project.root, str(target)
    return old


def colour(image_name):
    """What Blender shows of a picture: its first pixel."""
    return tuple(round(part, 3) for part in bpy.data.images[image_name].pixels[:3])


def live(session, clone):
    """The day. At each `yield` somebody waits until nothing is at work; what is yielded names a moment worth a picture."""
    # Opened: the panel says what is to be done, one thing after another.
    assert session.message.kind == "not_set_up", session.message
    assert bpy.ops.regen.setup_project() == {"FINISHED"}
    yield ""
    assert session.message.kind == "not_trusted", (session.message, session.notices)
    assert len(session.missing()) == 12
    assert any("12 assets are missing" in notice.text for notice in session.notices), session.notices
    yield "missing"
    assert bpy.ops.regen.trust_project() == {"FINISHED"}
    yield ""
    assert session.message is None, session.message

    # Regenerate missing, and watch them arrive.
    arrived = []
    session.hear("changed", lambda paths: arrived.extend(paths))
    assert bpy.ops.movie_director.regenerate_missing() == {"FINISHED"}
    yield ""
    assert session.missing() == [] and sorted(set(arrived)) == SHOTS, (session.missing(), arrived)
    before = colour("03.png")

    # Edit a prompt in the form; what shows it is read again.
    bpy.ops.regen.select_asset(asset_id=SHOTS[2])
    yield ""
    form = {item.name: item for item in bpy.context.window_manager.regen.form}
    assert form["prompt"].text_value == "shot 2"
    form["prompt"].text_value = "a surprise at dusk"
    assert bpy.ops.regen.apply_params(make=True) == {"FINISHED"}
    yield ""
    assert session.by_path[SHOTS[2]].state == "ok", session.by_path[SHOTS[2]]
    first = colour("03.png")
    assert first != before

    # Another take of the same recipe differs: compare, then accept it.
    assert bpy.ops.movie_director.regenerate_asset(asset_id=SHOTS[2]) == {"FINISHED"}
    yield ""
    assert session.by_path[SHOTS[2]].state == "drifted", session.by_path[SHOTS[2]]
    second = colour("03.png")
    assert second != first
    session.select(SHOTS[2])
    yield ""
    takes = session.details[SHOTS[2]].takes
    assert len(takes) >= 2 and sum(take.accepted for take in takes) == 1, takes
    yield "takes"
    assert bpy.ops.regen.fetch(asset_id=SHOTS[2]) == {"FINISHED"}
    yield ""
    assert colour("03.png") == first, "take back"
    assert bpy.ops.movie_director.regenerate_asset(asset_id=SHOTS[2]) == {"FINISHED"}
    yield ""
    assert bpy.ops.regen.accept(asset_id=SHOTS[2]) == {"FINISHED"}
    yield ""
    assert session.by_path[SHOTS[2]].state == "ok", session.by_path[SHOTS[2]]
    chosen = colour("03.png")

    # Save and commit on a branch of its own; then look at the old version.
    clone.git("switch", "-qc", "dusk")
    assert bpy.ops.regen.snapshot(message="shot 3 at dusk") == {"FINISHED"}
    yield ""
    assert session.branch == "dusk", session.branch
    assert bpy.ops.regen.switch_version(name="main") == {"FINISHED"}
    yield ""
    assert colour("03.png") == before
    assert bpy.ops.regen.switch_version(name="dusk") == {"FINISHED"}
    yield ""
    assert colour("03.png") == chosen
    assert session.missing() == [], session.missing()
    yield "end"
