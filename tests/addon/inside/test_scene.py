"""Assets in the scene: placed, found again, repaired, read anew, and stood in for."""

import os
import shutil

import bpy
import pytest


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
    with pytest.raises(TypeError, match="PLANE"):
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


def test_stand_ins_are_never_saved(session, film):
    from regen_vcs_addon import blend_uses, stand_ins

    image = bpy.data.images.load(film.path("media/sky.png"))
    image.use_fake_user = True
    bpy.ops.regen.make_relative()
    place("STRIP")
    true_strip = (strips()[0].directory, strips()[0].elements[0].filename)
    before = tuple(image.pixels[:4])
    os.unlink(film.path("media/sky.png"))
    look(session)
    stand_ins.ask(session)
    session.wait(60)
    assert image.filepath != "//../media/sky.png" and os.path.exists(bpy.path.abspath(image.filepath))
    assert not bpy.path.abspath(image.filepath).startswith(film.root)
    assert tuple(image.size) == (32, 16) and tuple(image.pixels[:4]) != before, "blurred, with a note, and of the same size"
    bpy.ops.wm.save_mainfile()
    assert image.filepath != "//../media/sky.png", "it is shown again after saving"
    with bpy.data.libraries.load(copy_of_saved(film)) as (_source, target):
        target.images = ["sky.png"]
    saved = next(each for each in bpy.data.images if each != image and each.name.startswith("sky"))
    assert saved.filepath.endswith("media/sky.png") and saved.get(blend_uses.TRUTH) is None
    bpy.data.images.remove(saved)
    bpy.ops.movie_director.regenerate_missing()
    session.wait(60)
    assert image.filepath == "//../media/sky.png" and image.get(blend_uses.TRUTH) is None
    assert (strips()[0].directory, strips()[0].elements[0].filename) == true_strip


def test_what_shows_a_stand_in_is_used_all_the_same(session, film):
    """By the render's warning, the vault, the working set, the playhead and the list of files."""
    from regen_vcs_addon import blend_uses, blend_vault, references, stand_ins, working_set
    from regen_vcs_addon.vault_recipes import recipes_in

    sky = "media/sky.png"
    bpy.context.scene.frame_set(1)
    place("STRIP")
    place("PLANE")
    bpy.ops.regen.make_relative()
    os.unlink(film.path(sky))
    look(session)
    stand_ins.ask(session)
    session.wait(60)
    look(session)
    image, strip = bpy.data.images["sky.png"], strips()[0]
    assert image.filepath != "//../media/sky.png" and blend_uses.TRUTH in image and blend_uses.TRUTH in strip, "they are shown"
    assert stand_ins._lacking == [sky]
    assert blend_vault.scope(session) == [sky]
    assert working_set.chosen_assets(session, bpy.context, "FRAMES") == working_set.chosen_assets(session, bpy.context, "SCENE") == [sky]
    assert working_set.make_near(session, bpy.context) == [sky]
    session.wait(60)
    assert {finding.status for finding in blend_vault.findings(session)} == {references.MISSING}
    bpy.ops.wm.save_mainfile()
    assert sky in recipes_in(blend_vault.read().export)


def test_a_copy_of_a_strip_with_a_stand_in_and_one_that_is_pointed_elsewhere(session, film):
    from regen_vcs_addon import blend_uses, stand_ins

    place("STRIP")
    strip = strips()[0]
    truth = (strip.directory, strip.elements[0].filename)
    os.unlink(film.path("media/sky.png"))
    look(session)
    stand_ins.ask(session)
    session.wait(60)
    strip[blend_uses.TRUTH] = strip[blend_uses.TRUTH]  # what a duplicate has too
    stand_ins._shown.clear()
    stand_ins.put_in(session)
    stand_ins.take_out()
    assert (strip.directory, strip.elements[0].filename) == truth
    stand_ins.put_in(session)
    assert blend_uses.TRUTH in strip
    assert blend_uses.point_to(("strip", bpy.context.scene.name, strip.name), "//other.png")
    assert (strip.directory, strip.elements[0].filename) == ("//", "other.png") and blend_uses.TRUTH not in strip


def show_stand_in(session, film, path="media/sky.png"):
    """Have the asset missing, and its stand-in shown."""
    from regen_vcs_addon import stand_ins

    os.unlink(film.path(path))
    look(session)
    stand_ins.ask(session)
    session.wait(60)


def test_another_file_that_is_chosen_while_a_stand_in_is_shown_stays(session, film):
    from regen_vcs_addon import blend_uses

    film.texture("media/other.png", seed=2)
    look(session)
    image = bpy.data.images.load(film.path("media/sky.png"))
    image.use_fake_user = True
    place("STRIP")
    show_stand_in(session, film)
    strip = strips()[0]
    assert blend_uses.TRUTH in image and blend_uses.TRUTH in strip
    image.filepath = "//../media/other.png"
    strip.directory, strip.elements[0].filename = "//../media/", "other.png"
    bpy.ops.wm.save_mainfile()
    assert image.filepath == "//../media/other.png" and (strip.directory, strip.elements[0].filename) == ("//../media/", "other.png")
    assert blend_uses.TRUTH not in image and blend_uses.TRUTH not in strip


def test_a_stand_in_whose_path_is_only_written_otherwise_is_one_still(session, film):
    from regen_vcs_addon import blend_uses

    image = bpy.data.images.load(film.path("media/sky.png"))
    image.use_fake_user = True
    truth = image.filepath
    show_stand_in(session, film)
    image.filepath = bpy.path.relpath(image.filepath)
    blend_uses.put_truth(image)
    assert image.filepath == truth


@pytest.mark.parametrize("way", ["by hand", "at every save"])
def test_a_stand_in_is_never_packed_for_good(session, film, way):
    image = bpy.data.images.load(film.path("media/sky.png"))
    image.use_fake_user = True
    truth = image.filepath
    show_stand_in(session, film)
    assert image.filepath != truth
    if way == "by hand":
        image.pack()
        bpy.ops.wm.save_mainfile()
    else:
        bpy.data.use_autopack = True
        # Blender would pack the asset itself, and says that it is not there, as it does of any file. It saves all the same.
        with pytest.raises(RuntimeError, match=r"sky\.png' not found"):
            bpy.ops.wm.save_mainfile()
        bpy.data.use_autopack = False
    with bpy.data.libraries.load(copy_of_saved(film)) as (_source, target):
        target.images = ["sky.png"]
    saved = next(each for each in bpy.data.images if each != image and each.name.startswith("sky"))
    assert not saved.packed_file and saved.filepath.endswith("media/sky.png")


def test_a_stand_in_that_is_copied_to_another_folder_finds_its_file(session, film):
    from regen_vcs_addon import blend_uses

    image = bpy.data.images.load(film.path("media/sky.png"))
    image.filepath = "//../media/sky.png"
    blend_uses.show(image, film.path("elsewhere.png"))
    text = image[blend_uses.TRUTH]
    blend_uses.put_truth(image)
    bpy.ops.wm.save_as_mainfile(filepath=film.path("top.blend"))
    image.filepath, image[blend_uses.TRUTH] = film.path("elsewhere.png"), text
    assert blend_uses.truth_of(image)["filepath"] == "//media/sky.png"


def test_what_somebody_paints_is_kept(session, film):
    image = bpy.data.images.load(film.path("media/sky.png"))
    image.pixels[:] = [0.5] * len(image.pixels)
    assert image.is_dirty
    film.regen("set", "media/sky.png", "seed=99")
    film.regen("regenerate", "media/sky.png")
    look(session)
    assert image.is_dirty and abs(image.pixels[0] - 0.5) < 0.01
    assert any("painted" in notice.text for notice in session.notices)
    show_stand_in(session, film)
    assert image.filepath.endswith("media/sky.png"), "no stand-in over it either"


def test_an_undo_leaves_no_stand_in_behind(session, film):
    """What Blender does to datablocks in an undo, done by hand: without a window there is none."""
    from regen_vcs_addon import blend_uses, stand_ins

    image = bpy.data.images.load(film.path("media/sky.png"))
    truth = image.filepath
    show_stand_in(session, film)
    shown, text = image.filepath, image[blend_uses.TRUTH]
    blend_uses.put_truth(image)
    stand_ins._on_undo()
    session.wait(60)
    stand_ins.put_in(session)
    assert image.filepath == shown, "taken away by an undo, it is shown again"
    bpy.ops.movie_director.regenerate_missing()
    session.wait(60)
    assert image.filepath == truth
    image.filepath, image[blend_uses.TRUTH] = shown, text
    stand_ins._on_undo()
    assert image.filepath == truth, "brought back by an undo, it goes"


def test_proxies_of_a_strip_are_all_that_is_removed(session, film):
    from types import SimpleNamespace

    from regen_vcs_addon import strips as module

    os.makedirs(film.path("plates/x/BL_proxy/film.mp4"))
    for name in ("plates/x/precious.txt", "plates/x/BL_proxy/film.mp4/proxy_50.avi"):
        with open(film.path(name), "w"):
            pass
    for path in ("plates/x/..", "plates/x/.", "plates/x/"):
        module.drop_proxy(SimpleNamespace(type="MOVIE", use_proxy=True, filepath=film.path(path)))
    assert os.path.exists(film.path("plates/x/precious.txt")) and os.path.exists(film.path("plates/x/BL_proxy/film.mp4/proxy_50.avi"))
    module.drop_proxy(SimpleNamespace(type="MOVIE", use_proxy=True, filepath=film.path("plates/x/film.mp4")))
    assert os.path.exists(film.path("plates/x/precious.txt")) and not os.path.exists(film.path("plates/x/BL_proxy/film.mp4/proxy_50.avi"))


@pytest.mark.parametrize("text", ["", "[", "[]", '"x"', "null", "1", '{"names": ["a"]}', '{"shown": 5}', '{"filepath": "//x", "shown": "/nowhere"}', '{"filepath": 5}', '{"source": "NONSENSE"}', '{"names": 5, "directory": []}', "[" * 100_000])
def test_a_true_path_of_somebody_else_breaks_nothing(session, film, text):
    from regen_vcs_addon import blend_uses

    image = bpy.data.images.load(film.path("media/sky.png"))
    path, source = image.filepath, image.source
    image[blend_uses.TRUTH] = text
    assert [holder.path for holder in blend_uses.holders()] in ([path], [])
    blend_uses.put_truth(image)
    assert (image.filepath, image.source) == (path, source) and blend_uses.TRUTH not in image


def test_a_picture_beside_the_blend(session, film):
    from regen_vcs_addon import blend_vault

    film.texture("scenes/fog.png", seed=3)
    look(session)
    place("STRIP", "scenes/fog.png")
    bpy.ops.regen.make_relative()
    assert strips()[0].directory == "//"
    assert blend_vault.used_assets(session) == ["scenes/fog.png"]


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
    assert [job.path for job in session.batch.jobs] == ["media/sky.png"], "queued; a worker of one's own would take it"
    assert working_set.make_near(session, bpy.context) == [], "a standing playhead asks once"


def test_what_is_in_view_comes_next(session, film):
    from regen_vcs_addon import working_set

    film.texture("media/hidden.png", seed=2)
    look(session)
    for name in ("media/sky.png", "media/hidden.png"):
        place("PLANE", name)
    hidden = next(each for each in bpy.context.view_layer.objects if any(image.name.startswith("hidden") for image in working_set._images_of(each)))
    for name in ("media/sky.png", "media/hidden.png"):
        os.unlink(film.path(name))
    look(session)
    hidden.hide_set(True)
    assert working_set.make_near(session, bpy.context) == ["media/sky.png"]
    hidden.hide_set(False)
    bpy.context.view_layer.update()
    assert working_set.make_near(session, bpy.context) == ["media/hidden.png"], "the other one was asked for"
    session.wait(60)


def test_a_save_says_what_could_not_come_back(session, film):
    place("STRIP")
    os.unlink(film.path("media/sky.png"))
    look(session)
    session.notices = []
    bpy.ops.wm.save_mainfile()
    assert [notice.text for notice in session.notices] == ["Saved, but sky.png is missing"]


def test_a_broken_regen_toml_is_told(session, film):
    with open(film.path("regen.toml"), "a") as file:
        file.write("\n[generators\n")
    session.refresh_trust()
    session.wait(60)
    assert "regen.toml" in session.notices[-1].text and session.notices[-1].level == "ERROR"


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
    source, copy = (next(node for node in tree.nodes if node.asset == path) for path in ("media/sky.png", "media/copy.png"))
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


def test_a_large_graph_is_drawn_in_portions(session, film):
    """What is deleted, or taken back by an undo, between two of them breaks nothing."""
    from regen_vcs_addon import graph_drawing, nodes
    from regen_vcs_addon.listing import rows_of

    entries = [{"path": f"{number:03d}.png", "state": "ok", "inputs": {"plate": f"{number - 1:03d}.png"} if number % 100 else {}} for number in range(600)]
    rows = rows_of({"assets": entries})
    assert [row.path for row in graph_drawing.chosen_rows(rows, "150.png")[:3]] == ["150.png", "149.png", "151.png"]
    assert len(graph_drawing.chosen_rows(rows, "150.png")) == 100 and len(graph_drawing.chosen_rows(rows, "")) == graph_drawing.MAX_NODES
    tree = bpy.data.node_groups.new("Graph", nodes.TREE)
    drawing = graph_drawing.Drawing(tree, graph_drawing.chosen_rows(rows, "150.png"))
    portions, deleted = 0, False
    while not drawing.go_on(0.0005):
        portions += 1
        middle = next((node for node in tree.nodes if node.asset == "150.png"), None)
        if middle is not None and not deleted:
            tree.nodes.remove(middle)
            deleted = True
        assert portions < 10_000
    assert portions > 1 and len(tree.nodes) == 99 and len(tree.links) == 97
    drawing = graph_drawing.Drawing(tree, rows[:50])
    drawing.go_on(0.001)
    bpy.data.node_groups.remove(tree)
    assert drawing.go_on(1), "the tree is gone, and so is the work"
