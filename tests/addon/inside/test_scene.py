"""Assets in the scene: placed, found again, repaired, read anew, and stood in for."""

import os
import shutil

import bpy
import pytest


@pytest.fixture
def session(addon):
    from regen_vcs_addon import state

    return state.get()


@pytest.fixture
def film(session, project):
    project.texture("media/sky.png", seed=1, width=32, height=16)
    project.save("scenes/film.blend")
    session.wait(60)
    return project


def strips():
    from regen_vcs_addon import strips as module

    return module.strips_of(module.sequencer_scene(bpy.context))


def look(session):
    session.refresh()
    session.wait(60)


def copy_of_saved(film):
    """Blender reads datablocks of every file but the open one."""
    return shutil.copy(bpy.data.filepath, film.path("copy.blend"))


def place(way, path="media/sky.png"):
    assert bpy.ops.regen.add_to_scene(asset_id=path, way=way) == {"FINISHED"}


def test_a_strip(session, film):
    bpy.context.scene.frame_set(10)
    place("STRIP")
    place("STRIP")
    first, second = sorted(strips(), key=lambda strip: strip.channel)
    assert first.frame_final_start == second.frame_final_start == 10 and (first.channel, second.channel) == (1, 2)
    assert os.path.samefile(bpy.path.abspath(first.directory) + first.elements[0].filename, film.path("media/sky.png"))
    assert first.frame_final_end > first.frame_final_start + 1


def test_a_sequence_strip(session, film):
    film.regen("generate", "media/rain.####.png", "--generator", "texture", "--param", "width=16", "--param", "height=16", "--param", "frames=1-4")
    look(session)
    place("STRIP", "media/rain.####.png")
    assert [element.filename for element in strips()[0].elements] == [f"rain.{number:04d}.png" for number in range(1, 5)]


def test_a_sound_strip(session, film):
    film.regen("generate", "media/beep.wav", "--generator", "tone")
    look(session)
    if not bpy.app.build_options.audaspace:
        with pytest.raises(RuntimeError, match="Audaspace"):
            place("STRIP", "media/beep.wav")
        return
    place("STRIP", "media/beep.wav")
    assert strips()[0].type == "SOUND" and os.path.samefile(bpy.path.abspath(strips()[0].sound.filepath), film.path("media/beep.wav"))
    with pytest.raises(RuntimeError, match="plane"):
        bpy.ops.regen.add_to_scene(asset_id="media/beep.wav", way="PLANE")


def test_a_plane(session, film):
    bpy.context.scene.cursor.location = (1, 2, 3)
    place("PLANE")
    plane = bpy.context.scene.objects["sky"]
    assert tuple(plane.location) == (1, 2, 3)
    assert round(plane.dimensions[0] / plane.dimensions[2], 3) == 2.0
    images = [node.image for node in plane.active_material.node_tree.nodes if node.type == "TEX_IMAGE"]
    assert images[0].filepath.startswith("//") and tuple(images[0].size) == (32, 16)


def test_a_texture(session, film):
    with pytest.raises(RuntimeError, match="Select"):
        bpy.ops.regen.add_to_scene(asset_id="media/sky.png", way="TEXTURE")
    mesh = bpy.data.meshes.new("m")
    thing = bpy.data.objects.new("thing", mesh)
    bpy.context.scene.collection.objects.link(thing)
    bpy.context.view_layer.objects.active = thing
    place("TEXTURE")
    tree = thing.active_material.node_tree
    shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    assert shader.inputs["Base Color"].links[0].from_node.image.filepath.endswith("sky.png")


def test_uses_are_matched_and_repaired(session, film):
    from regen_vcs_addon import references
    from regen_vcs_addon.ops_references import look as look_at_files

    image = bpy.data.images.load(film.path("media/sky.png"))
    place("STRIP")
    bpy.ops.wm.save_mainfile()
    session.wait(60)
    os.makedirs(film.path("elsewhere"))
    film.regen("mv", "media/sky.png", "elsewhere/clouds.png")
    look(session)
    found = {finding.use.owner: finding for _key, finding in look_at_files(session)}
    assert {finding.status for finding in found.values()} == {references.BROKEN}
    assert {finding.reason for finding in found.values()} == {"the same content"}
    assert bpy.ops.regen.repair_references() == {"FINISHED"}
    assert image.filepath == "//../elsewhere/clouds.png" and strips()[0].elements[0].filename == "clouds.png"
    assert {finding.status for _key, finding in look_at_files(session)} == {references.MATCHED}


def test_paths_are_made_relative(session, film):
    image = bpy.data.images.load(film.path("media/sky.png"))
    outside = bpy.data.images.new("generated", 4, 4)
    assert not image.filepath.startswith("//")
    assert bpy.ops.regen.make_relative() == {"FINISHED"}
    assert image.filepath == "//../media/sky.png" and outside.filepath == ""


def test_an_image_is_read_again(session, film):
    image = bpy.data.images.load(film.path("media/sky.png"))
    before = tuple(image.pixels[:64])
    place("STRIP")
    strip = strips()[0]
    strip.use_proxy = True
    proxies = os.path.join(film.root, "media", "BL_proxy", "images", "25")
    os.makedirs(proxies)
    for name in ("sky.png_proxy.jpg", "other.png_proxy.jpg"):
        open(os.path.join(proxies, name), "w").close()
    film.regen("set", "media/sky.png", "seed=77", "kind=bricks")
    look(session)
    assert bpy.ops.movie_director.regenerate_asset(asset_id="media/sky.png") == {"FINISHED"}
    session.wait(60)
    assert tuple(image.pixels[:64]) != before
    assert os.listdir(proxies) == ["other.png_proxy.jpg"]


def test_stand_ins_are_never_saved(session, film, tmp_path):
    from regen_vcs_addon import stand_ins

    image = bpy.data.images.load(film.path("media/sky.png"))
    image.use_fake_user = True
    bpy.ops.regen.make_relative()
    place("STRIP")
    true_strip = (strips()[0].directory, strips()[0].elements[0].filename)
    shutil.move(film.path("media/sky.png"), tmp_path / "blurred 40 s.png")
    look(session)
    stand_ins._take(session, {"stand_ins": [{"path": "media/sky.png", "file": str(tmp_path / "blurred 40 s.png"), "kind": "image"}]})
    assert image.filepath != "//../media/sky.png" and os.path.exists(bpy.path.abspath(image.filepath))
    assert not bpy.path.abspath(image.filepath).startswith(film.root)
    assert tuple(image.size) == (32, 16)
    bpy.ops.wm.save_mainfile()
    assert image.filepath != "//../media/sky.png", "it is shown again after saving"
    with bpy.data.libraries.load(copy_of_saved(film)) as (_source, target):
        target.images = ["sky.png"]
    saved = next(each for each in bpy.data.images if each != image and each.name.startswith("sky"))
    assert saved.filepath.endswith("media/sky.png") and saved.get(stand_ins.PROPERTY) is None
    bpy.data.images.remove(saved)
    bpy.ops.movie_director.regenerate_missing()
    session.wait(60)
    assert image.filepath == "//../media/sky.png" and image.get(stand_ins.PROPERTY) is None
    assert (strips()[0].directory, strips()[0].elements[0].filename) == true_strip


def test_a_file_saved_by_accident_with_stand_ins_is_mended(session, film):
    from regen_vcs_addon import stand_ins

    bpy.data.images.load(film.path("media/sky.png")).use_fake_user = True
    bpy.ops.regen.make_relative()
    os.unlink(film.path("media/sky.png"))
    look(session)
    stand_ins._files["media/sky.png"] = film.path("film-stand-in.png")
    stand_ins.put_in(session)
    # As auto-save does it: no handler is called.
    handlers = list(bpy.app.handlers.save_pre)
    bpy.app.handlers.save_pre.clear()
    bpy.ops.wm.save_mainfile()
    bpy.app.handlers.save_pre.extend(handlers)
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    assert bpy.data.images["sky.png"].filepath == "//../media/sky.png"


def test_a_render_that_lacks_something_says_so(session, film):
    place("PLANE")
    os.unlink(film.path("media/sky.png"))
    look(session)
    scene = bpy.context.scene
    scene.render.engine, scene.render.resolution_x, scene.render.resolution_y = "CYCLES", 16, 16
    scene.cycles.samples, scene.cycles.use_denoising = 1, False
    scene.camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(scene.camera)
    scene.render.filepath = film.path("out.png")
    bpy.ops.render.render(write_still=True)
    assert any("render lacks 1 asset" in notice.text for notice in session.notices)


def test_the_working_set_of_strips(session, film):
    film.texture("media/rain.png", seed=2)
    look(session)
    place("STRIP")
    from regen_vcs_addon import working_set

    assert working_set.chosen_assets(session, bpy.context, "FRAMES") == ["media/sky.png"]
    assert bpy.ops.regen.set_working_set(way="FRAMES") == {"FINISHED"}
    session.wait(60)
    assert session.by_path["media/rain.png"].state == "skipped" and not os.path.exists(film.path("media/rain.png"))
    assert bpy.ops.regen.hold_everything() == {"FINISHED"}
    session.wait(60)
    look(session)
    assert session.by_path["media/rain.png"].state == "ok"


def test_what_is_near_the_playhead_comes_first(session, film):
    from regen_vcs_addon import working_set

    film.texture("media/far.png", seed=2)
    look(session)
    scene = bpy.context.scene
    scene.frame_set(1)
    place("STRIP")
    scene.frame_set(4000)
    place("STRIP", "media/far.png")
    for name in ("media/sky.png", "media/far.png"):
        os.unlink(film.path(name))
    look(session)
    scene.frame_set(1)
    assert working_set.make_near(session, bpy.context) == ["media/sky.png"]
    session.wait(60)
    assert [job.path for job in session.batch.jobs] in (["media/sky.png"], [])
    assert working_set.make_near(session, bpy.context) == [], "a standing playhead asks once"


def test_the_graph(session, film):
    from regen_vcs_addon import nodes

    with open(film.path("regen.toml"), "a") as file:
        file.write('\n[generators.copy]\nuses = "command"\nargv = ["cp", "{inputs.image}", "{output}"]\n')
    film.regen("trust", "--yes")
    film.regen("generate", "media/copy.png", "--generator", "command:copy", "--input", "image=media/sky.png")
    look(session)
    assert bpy.ops.regen.show_graph() == {"FINISHED"}
    tree = nodes.tree_of_project()
    assert {node.asset for node in tree.nodes} == {"media/sky.png", "media/copy.png"}
    assert [(link.from_node.asset, link.to_node.asset) for link in tree.links] == [("media/sky.png", "media/copy.png")]
    source, copy = tree.nodes["media/sky.png"], tree.nodes["media/copy.png"]
    assert source.location.x < copy.location.x
    os.unlink(film.path("media/sky.png"))
    look(session)
    assert tuple(round(part, 3) for part in source.color) == nodes.COLOURS["missing"]
    bpy.ops.wm.save_mainfile()
    assert len(tree.nodes) == 2, "the picture is there again"
    tree.use_fake_user = True
    bpy.ops.wm.save_mainfile()
    with bpy.data.libraries.load(copy_of_saved(film)) as (source, target):
        target.node_groups = list(source.node_groups)
    assert all(len(each.nodes) == 0 for each in bpy.data.node_groups if each != tree and each.bl_idname == nodes.TREE), "no file keeps it"
