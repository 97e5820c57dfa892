"""An artist's day, from a fresh clone to another branch's frames on screen. Only buttons are pressed."""

import os
import shutil

import bpy
import pytest

# Writes a plain picture; its colour follows the prompt, or chance where the prompt asks for a surprise.
PAINT = """import hashlib, pathlib, random, struct, sys, zlib
target, prompt = sys.argv[1:3]
tint = random.randbytes(3) if "surprise" in prompt else hashlib.sha256(prompt.encode()).digest()[:3]
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
rows = b"".join(bytes([0]) + tint * 16 for _ in range(9))
picture = chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 9, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
pathlib.Path(target).write_bytes(bytes([137]) + b"PNG\\r\\n" + bytes([26]) + b"\\n" + picture)
"""
CONFIG = """
[generators.paint]
uses = "command"
argv = ["python3", "{code}/paint.py", "{output}", "{params.prompt}"]
code = ["tools/paint.py"]

[generators.paint.params]
prompt = {type = "string"}
"""
SHOTS = [f"shots/{number:02d}.png" for number in range(1, 13)]


@pytest.fixture
def session(addon):
    from regen_vcs_addon import state

    return state.get()


@pytest.fixture
def clone(session, project, tmp_path):
    """A film of twelve shots that somebody else made, cloned onto a machine with empty stores. Its .blend is open."""
    os.makedirs(project.path("tools"))
    with open(project.path("tools/paint.py"), "w") as file:
        file.write(PAINT)
    with open(project.path("regen.toml"), "a") as file:
        file.write(CONFIG)
    project.regen("trust", "--yes")
    for number, shot in enumerate(SHOTS):
        project.regen("generate", shot, "--generator", "command:paint", "--param", f"prompt=shot {number}")
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
    target = str(tmp_path / "clone")
    project.git("clone", "-q", project.root, target)
    for name in ("REGEN_KEEP_DIR", "REGEN_CACHE_DIR"):
        shutil.rmtree(os.environ[name], ignore_errors=True)
    project.regen("trust", "--revoke")
    shutil.rmtree(project.root)
    project.root = target
    bpy.ops.wm.open_mainfile(filepath=project.path("film.blend"))
    session.wait(60)
    return project


def colour(image_name):
    """What Blender shows of a picture: its first pixel."""
    return tuple(round(part, 3) for part in bpy.data.images[image_name].pixels[:3])


def test_from_a_fresh_clone_to_another_branch(session, clone):
    # Opened: the panel says what is to be done, one thing after another.
    assert session.message.kind == "not_set_up"
    assert bpy.ops.regen.setup_project() == {"FINISHED"}
    session.wait(60)
    assert session.message.kind == "not_trusted"
    assert len(session.missing()) == 12
    assert any("12 assets are missing" in notice.text for notice in session.notices)
    assert bpy.ops.regen.trust_project() == {"FINISHED"}
    session.wait(60)
    assert session.message is None

    # Regenerate missing, and watch them arrive.
    arrived = []
    session.hear("changed", lambda paths: arrived.extend(paths))
    assert bpy.ops.movie_director.regenerate_missing() == {"FINISHED"}
    session.wait(120)
    assert session.missing() == [] and sorted(set(arrived)) == SHOTS
    before = colour("03.png")

    # Edit a prompt in the form; what shows it is read again.
    bpy.ops.regen.select_asset(asset_id=SHOTS[2])
    session.wait(60)
    form = {item.name: item for item in bpy.context.window_manager.regen.form}
    assert form["prompt"].text_value == "shot 2"
    form["prompt"].text_value = "a surprise at dusk"
    assert bpy.ops.regen.apply_params(make=True) == {"FINISHED"}
    session.wait(60)
    assert session.by_path[SHOTS[2]].state == "ok"
    first = colour("03.png")
    assert first != before

    # Another take of the same recipe differs: compare, then accept it.
    assert bpy.ops.movie_director.regenerate_asset(asset_id=SHOTS[2]) == {"FINISHED"}
    session.wait(60)
    assert session.by_path[SHOTS[2]].state == "drifted"
    second = colour("03.png")
    assert second != first
    session.select(SHOTS[2])
    session.wait(60)
    takes = session.details[SHOTS[2]].takes
    assert len(takes) >= 2 and sum(take.accepted for take in takes) == 1
    assert bpy.ops.regen.fetch(asset_id=SHOTS[2]) == {"FINISHED"}
    session.wait(60)
    assert colour("03.png") == first, "take back"
    assert bpy.ops.movie_director.regenerate_asset(asset_id=SHOTS[2]) == {"FINISHED"}
    session.wait(60)
    assert bpy.ops.regen.accept(asset_id=SHOTS[2]) == {"FINISHED"}
    session.wait(60)
    assert session.by_path[SHOTS[2]].state == "ok"
    chosen = colour("03.png")

    # Save and commit on a branch of its own; then look at the old version.
    clone.git("switch", "-qc", "dusk")
    assert bpy.ops.regen.snapshot(message="shot 3 at dusk") == {"FINISHED"}
    session.wait(60)
    assert session.branch == "dusk"
    assert bpy.ops.regen.switch_version(name="main") == {"FINISHED"}
    session.wait(60)
    assert colour("03.png") == before
    assert bpy.ops.regen.switch_version(name="dusk") == {"FINISHED"}
    session.wait(60)
    assert colour("03.png") == chosen
    assert session.missing() == []
