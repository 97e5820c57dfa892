"""Runs inside Blender: makes the small films of these tests below the folder in FILMS. Pictures are there already.

    film.blend        links lib/props.blend; a picture, UDIM tiles and a numbered run by relative paths; two scenes
    absolute.blend    the same library and picture by absolute paths
    edit.blend        an edit of pictures in the sequencer
    missing.blend     a picture that is not there        outside.blend   one outside of the repository
    raw/              the same frame twice in several formats, as Blender writes it
"""

import os

import bpy

ROOT = os.environ["FILMS"]
TIGHT = {"samples": 1, "use_denoising": False, "use_adaptive_sampling": False}


def path(*parts):
    return os.path.join(ROOT, *parts)


def fresh(engine="CYCLES"):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = engine
    scene.render.resolution_x = scene.render.resolution_y = 32
    scene.render.threads_mode = "FIXED"
    scene.render.threads = 1
    for name, value in TIGHT.items():
        setattr(scene.cycles, name, value)
    scene.world = bpy.data.worlds.new("World")
    scene.world.use_nodes = True
    scene.frame_end = 4
    return scene


def camera(scene, name, height, lens=30):
    made = bpy.data.objects.new(name, bpy.data.cameras.new(name))
    made.location = (0, 0, height)
    made.data.lens = lens
    scene.collection.objects.link(made)
    return made


def plane(scene, name, image, x=0.0, tiled=False):
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata([(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)], [], [(0, 1, 2, 3)])
    layer = mesh.uv_layers.new()
    for loop, spot in zip(layer.data, [(0, 0), (1, 0), (1, 1), (0, 1)], strict=True):
        loop.uv = (spot[0] * (2 if tiled else 1), spot[1])
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    nodes.clear()
    texture, shade, out = (nodes.new(kind) for kind in ("ShaderNodeTexImage", "ShaderNodeEmission", "ShaderNodeOutputMaterial"))
    texture.image = image
    if image.source == "SEQUENCE":
        texture.image_user.frame_duration, texture.image_user.use_auto_refresh = 3, True
    links.new(texture.outputs["Color"], shade.inputs["Color"])
    links.new(shade.outputs["Emission"], out.inputs["Surface"])
    mesh.materials.append(material)
    made = bpy.data.objects.new(name, mesh)
    made.location.x = x
    scene.collection.objects.link(made)
    return made


def image(*parts, source="FILE"):
    made = bpy.data.images.load(path(*parts))
    made.source = source
    return made


def save(name, *, relative=True):
    target = path(name)
    bpy.ops.wm.save_as_mainfile(filepath=target, relative_remap=False)
    if relative:
        bpy.ops.file.make_paths_relative()
        bpy.ops.wm.save_as_mainfile(filepath=target, relative_remap=False)


def link(scene, library, name):
    with bpy.data.libraries.load(library, link=True) as (_, wanted):
        wanted.objects = [name]
    scene.collection.objects.link(bpy.data.objects[name])


def make_library():
    scene = fresh()
    plane(scene, "Prop", image("textures", "prop.png"), x=-0.5)
    save("lib/props.blend")


def write_elsewhere(scene):
    """A File Output node, which writes beside whatever is rendered."""
    if hasattr(scene, "compositing_node_group"):  # from 5.0
        tree = scene.compositing_node_group = bpy.data.node_groups.new("Compositing", "CompositorNodeTree")
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        layers, shown = tree.nodes.new("CompositorNodeRLayers"), tree.nodes.new("NodeGroupOutput")
        tree.links.new(layers.outputs["Image"], shown.inputs[0])
        writes = tree.nodes.new("CompositorNodeOutputFile")
        writes.directory = os.environ["FORBIDDEN"]
        writes.file_output_items.new("RGBA", "Image")
    else:
        scene.use_nodes = True
        tree = scene.node_tree
        layers, writes = tree.nodes["Render Layers"], tree.nodes.new("CompositorNodeOutputFile")
        writes.base_path = os.environ["FORBIDDEN"]
    tree.links.new(layers.outputs["Image"], writes.inputs[0])


def make_film():
    scene = fresh()
    scene.camera = camera(scene, "Main", 3)
    camera(scene, "Close", 1.5)
    scene.view_layers.new("Second")
    moving = plane(scene, "Wall", image("textures", "wood.png"), x=1.0)
    moving.keyframe_insert("location", frame=1)
    moving.location.x = 2.0
    moving.keyframe_insert("location", frame=60)
    plane(scene, "Floor", image("textures", "floor.1001.png"), x=2.0)
    tiles = bpy.data.images.load(path("textures", "floor.1001.png"))
    tiles.source = "TILED"
    tiles.filepath = path("textures", "floor.<UDIM>.png")
    tiles.tiles.new(1002)
    plane(scene, "Tiled", tiles, x=-2.0, tiled=True)
    plane(scene, "Screen", image("plates", "bg.0001.png", source="SEQUENCE"), x=-1.0)
    link(scene, path("lib", "props.blend"), "Prop")
    unused = bpy.data.images.load(path("textures", "wood.png"), check_existing=False)
    unused.filepath, unused.use_fake_user = path("textures", "gone.png"), True
    write_elsewhere(scene)
    scene.render.filepath = os.path.join(os.environ["FORBIDDEN"], "render_")
    scene.render.use_stamp_hostname = scene.render.use_stamp_date = True
    other = bpy.data.scenes.new("Other")
    other.render.engine = "CYCLES"
    other.render.resolution_x, other.render.resolution_y = 48, 24
    for name, value in TIGHT.items():
        setattr(other.cycles, name, value)
    other.camera = camera(other, "OtherCam", 2)
    save("film.blend")


def make_others():
    scene = fresh()
    scene.camera = camera(scene, "Main", 3)
    plane(scene, "Wall", image("textures", "wood.png"))
    link(scene, path("lib", "props.blend"), "Prop")
    save("absolute.blend", relative=False)
    scene = fresh()
    scene.camera = camera(scene, "Main", 3)
    moving = plane(scene, "Wall", image("textures", "wood.png"))
    for frame, x in ((1, 0.0), (9, 2.0)):
        moving.location.x = x
        moving.keyframe_insert("location", frame=frame)
    save("simple.blend")
    bpy.data.images["wood.png"].filepath = path("textures", "never.png")
    save("missing.blend")
    bpy.data.images["wood.png"].filepath = os.environ["OUTSIDE"]
    save("outside.blend", relative=False)


def make_edit():
    scene = fresh()
    editor = scene.sequence_editor_create()
    strips = getattr(editor, "strips", None)
    strips = editor.sequences if strips is None else strips
    strip = strips.new_image(name="bg", filepath=path("plates", "bg.0001.png"), channel=1, frame_start=1)
    strip.elements.append("bg.0002.png")
    scene.camera = camera(scene, "Main", 3)
    save("edit.blend")


def render_raw():
    bpy.ops.wm.open_mainfile(filepath=path("film.blend"), load_ui=False)
    scene = bpy.context.scene
    render = scene.render
    render.use_compositing = False
    render.use_file_extension = False
    for prop in render.bl_rna.properties:
        if prop.identifier.startswith("use_stamp_"):
            setattr(render, prop.identifier, False)
    for turn in ("first", "second"):
        bpy.ops.render.render()
        for kind, name in (("PNG", "p.png"), ("JPEG", "j.jpg"), ("OPEN_EXR", "e.exr"), ("OPEN_EXR_MULTILAYER", "m.exr")):
            if hasattr(render.image_settings, "media_type"):
                render.image_settings.media_type = "MULTI_LAYER_IMAGE" if "MULTI" in kind else "IMAGE"
            render.image_settings.file_format = kind
            render.image_settings.color_mode = "RGB"
            render.image_settings.color_depth = "16" if "EXR" in kind else "8"
            bpy.data.images["Render Result"].save_render(path("raw", f"{turn}-{name}"), scene=scene)


os.makedirs(path("raw"), exist_ok=True)
make_library()
make_film()
make_others()
make_edit()
render_raw()
with open(path("made"), "w") as file:
    file.write("ok")
