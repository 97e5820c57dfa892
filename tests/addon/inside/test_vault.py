"""What a .blend keeps of its assets, and how it brings them back."""

import json
import os
import random
import re
import shutil
import time

import bpy
import pytest
from project import Project


def use(path):
    """Have the .blend use a file."""
    image = bpy.data.images.load(path)
    image.use_fake_user = True
    return image


@pytest.fixture
def film(session, project):
    project.texture("media/sky.png", seed=1)
    project.texture("media/unused.png", seed=2)
    use(project.path("media/sky.png"))
    project.save()
    session.wait(60)
    bpy.ops.wm.save_mainfile()
    return project


def vaults():
    return [scene.regen.vault for scene in bpy.data.scenes], bpy.data.texts["regen-vcs vault"].as_string()


def open_again():
    from regen_vcs_addon import state

    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    state.get().wait(60)


def test_two_copies_of_what_is_used(session, film):
    from regen_vcs_addon import blend_vault
    from regen_vcs_addon.vault_recipes import recipes_in

    in_scene, in_text = vaults()
    assert [each for each in in_scene if each] == [in_text] and in_text.startswith("regen-vcs-vault 1 ")
    open_again()
    assert set(recipes_in(blend_vault.read().export)) == {"media/sky.png"}
    assert [(each.path, each.state) for each in session.remembered] == [("media/sky.png", "ok")]
    assert session.remembered[0].hash == session.by_path["media/sky.png"].output


def test_the_whole_project_or_nothing(session, film):
    from regen_vcs_addon import blend_vault
    from regen_vcs_addon.vault_recipes import recipes_in

    preferences = bpy.context.preferences.addons["regen_vcs_addon"].preferences
    preferences.vault = "ALL"
    bpy.ops.wm.save_mainfile()
    assert set(recipes_in(blend_vault.read().export)) == {"media/sky.png", "media/unused.png"}
    preferences.vault = "OFF"
    bpy.ops.wm.save_mainfile()
    assert "regen-vcs vault" not in bpy.data.texts and not any(scene.regen.vault for scene in bpy.data.scenes)


def test_an_edit_of_a_recipe_reaches_the_next_save(session, film):
    from regen_vcs_addon import blend_vault
    from regen_vcs_addon.vault_recipes import recipes_in

    film.regen("set", "media/sky.png", "seed=99")
    bpy.ops.wm.save_mainfile()
    assert recipes_in(blend_vault.read().export)["media/sky.png"]["params"]["seed"] == 99


def test_without_regen_vcs_nothing_is_lost(session, film):
    before = vaults()
    bpy.context.preferences.addons["regen_vcs_addon"].preferences.executable = "/nowhere/regen-vcs"
    bpy.ops.wm.save_mainfile()
    assert vaults() == before
    assert bpy.context.window_manager.regen.assets["media/sky.png"].get_generation_params()["seed"] == 1
    open_again()
    assert [asset.name for asset in bpy.context.window_manager.regen.assets] == ["media/sky.png"], "as the .blend remembers them"


def test_params_come_out_of_the_vault_where_the_sidecar_is_gone(session, film):
    os.unlink(film.path("media/sky.png.regen.json"))
    bpy.context.preferences.addons["regen_vcs_addon"].preferences.executable = "/nowhere/regen-vcs"
    open_again()
    asset = bpy.context.window_manager.regen.assets["media/sky.png"]
    assert asset.get_generation_params()["seed"] == 1


def test_what_changed_since_is_told(session, film):
    path = bpy.data.filepath
    film.texture("media/sky.png", seed=5)
    film.regen("rm", "--force", "media/unused.png")
    bpy.ops.wm.open_mainfile(filepath=path)
    session.wait(60)
    assert any("1 changed since" in notice.text for notice in session.notices)


def move_away(film, tmp_path, name="film.blend"):
    """The .blend alone, in an empty folder."""
    from regen_vcs_addon import state

    state.get().wait(60)
    target = tmp_path / "rescued"
    target.mkdir()
    shutil.copy(film.path(name), target / name)
    shutil.rmtree(film.root)
    return target


def restore(target, name="film.blend", **options):
    bpy.ops.wm.open_mainfile(filepath=str(target / name))
    from regen_vcs_addon import state

    state.get().wait(60)
    assert bpy.ops.regen.restore_sidecars(**options) == {"FINISHED"}
    state.get().wait(120)


def test_restore_from_the_blend_alone(session, film, tmp_path):
    with open(film.path("media/sky.png"), "rb") as file:
        before = file.read()
    target = move_away(film, tmp_path)
    restore(target, and_make=True)
    assert (target / "media/sky.png").read_bytes() == before
    assert not (target / "media/unused.png.regen.json").exists()
    assert session.by_path["media/sky.png"].state == "ok"


@pytest.mark.parametrize("broken", ["scene", "text"])
def test_one_damaged_copy_is_no_matter(session, film, tmp_path, broken):
    if broken == "scene":
        bpy.data.scenes[0].regen.vault = bpy.data.scenes[0].regen.vault[:-40] + "x" * 39 + "\n"
    else:
        bpy.data.texts["regen-vcs vault"].from_string("regen-vcs-vault 1 zlib 3 " + "0" * 64 + "\nabc\n")
    handlers = list(bpy.app.handlers.save_pre)
    bpy.app.handlers.save_pre.clear()
    bpy.ops.wm.save_mainfile()
    bpy.app.handlers.save_pre.extend(handlers)
    open_again()
    assert any("damaged" in notice.text for notice in session.notices)
    target = move_away(film, tmp_path)
    restore(target)
    assert (target / "media/sky.png.regen.json").exists()


@pytest.mark.parametrize("which", ["scene", "text"])
def test_a_byte_that_is_no_text_is_damage_like_any_other(session, film, which):
    """One flipped bit makes it so; Blender's own reading of such a property fails."""
    from regen_vcs_addon import blend_vault

    bpy.ops.wm.save_as_mainfile(filepath=film.path("plain.blend"), copy=True, compress=False)
    with open(film.path("plain.blend"), "rb") as file:
        data = bytearray(file.read())
    # The property holds all lines in one; of the text datablock each stands in a block of its own.
    second = bpy.data.texts["regen-vcs vault"].as_string().split("\n")[1].encode()[:40]
    found = [match.start() for match in re.finditer(re.escape(second), data)]
    place = next(at for at in found if (b"DATA" in data[at - 60 : at]) == (which == "text"))
    data[place + 5] |= 0x80
    path = film.path("flipped.blend")
    with open(path, "wb") as file:
        file.write(data)
    bpy.ops.wm.open_mainfile(filepath=path)
    session.wait(60)
    chosen = blend_vault.read()
    assert chosen.damaged and chosen.export
    assert bpy.ops.regen.restore_sidecars() == {"FINISHED"}
    session.notices = []
    bpy.ops.wm.save_mainfile()
    assert not [notice for notice in session.notices if notice.level == "ERROR"]
    assert not blend_vault.read().damaged, "both copies are sound again"


@pytest.mark.parametrize("how", ["sidecars deleted", "files too", "another repository"])
def test_a_save_drops_no_recipe_that_is_nowhere_else(session, film, tmp_path, how):
    from regen_vcs_addon import blend_vault
    from regen_vcs_addon.vault_recipes import recipes_in

    for number in range(3):
        use(film.texture(f"media/a{number}.png", seed=number))
    session.refresh()
    session.wait(60)
    bpy.ops.regen.make_relative()
    bpy.ops.wm.save_mainfile()
    everything = {"media/sky.png", "media/a0.png", "media/a1.png", "media/a2.png"}
    assert set(recipes_in(blend_vault.read().export)) == everything
    if how == "another repository":
        other = Project(tmp_path / "anderer film")
        other.texture("media/sky.png", seed=1)
        shutil.copy(film.path("film.blend"), other.path("film.blend"))
        bpy.ops.wm.open_mainfile(filepath=other.path("film.blend"))
    else:
        for number in range(3):
            os.unlink(film.path(f"media/a{number}.png.regen.json"))
            if how == "files too":
                os.unlink(film.path(f"media/a{number}.png"))
    for _again in range(2):
        session.refresh()
        session.wait(60)
        bpy.ops.wm.save_mainfile()
        assert set(recipes_in(blend_vault.read().export)) == everything
    open_again()
    assert any("no longer in the project" in notice.text for notice in session.notices)
    assert bpy.ops.regen.restore_sidecars() == {"FINISHED"}
    session.wait(60)
    assert everything <= session.by_path.keys()
    # What the film no longer uses may go.
    film_now = Project.__new__(Project)
    film_now.root = session.root
    film_now.regen("rm", "media/a2.png")
    bpy.data.images.remove(bpy.data.images["a2.png"])
    session.refresh()
    session.wait(60)
    bpy.ops.wm.save_mainfile()
    assert set(recipes_in(blend_vault.read().export)) == everything - {"media/a2.png"}


def test_both_damaged_is_said(session, film):
    for scene in bpy.data.scenes:
        scene.regen.vault = scene.regen.vault and "regen-vcs-vault 1 zlib 99999999 " + "0" * 64 + "\nzzzz"
    bpy.data.texts["regen-vcs vault"].from_string("rubbish")
    with pytest.raises(RuntimeError, match="damaged"):
        bpy.ops.regen.restore_sidecars()


def test_what_differs_is_left_alone(session, film):
    bpy.ops.wm.save_mainfile()
    film.regen("set", "media/sky.png", "seed=7")
    with open(film.path("media/sky.png.regen.json")) as file:
        edited = file.read()
    assert bpy.ops.regen.restore_sidecars() == {"FINISHED"}
    with open(film.path("media/sky.png.regen.json")) as file:
        assert file.read() == edited
    assert any("differ" in notice.text for notice in session.notices)


def test_a_command_project_from_the_blend_alone(session, project, tmp_path):
    os.makedirs(project.path("tools"))
    with open(project.path("tools/copy.py"), "w") as file:
        file.write("import shutil, sys\nshutil.copy(*sys.argv[1:3])\n")
    with open(project.path("regen.toml"), "a") as file:
        file.write('\n[generators.copy]\nuses = "command"\nargv = ["python3", "{code}/copy.py", "{inputs.image}", "{output}"]\ncode = ["tools/copy.py"]\n')
    project.regen("trust", "--yes")
    project.texture("media/sky.png", seed=1)
    project.regen("generate", "media/copy.png", "--generator", "command:copy", "--input", "image=media/sky.png")
    use(project.path("media/copy.png"))
    project.save()
    session.wait(60)
    bpy.ops.wm.save_mainfile()
    session.wait(60)
    with open(project.path("media/copy.png"), "rb") as file:
        before = file.read()
    shutil.rmtree(os.environ["REGEN_KEEP_DIR"])
    shutil.rmtree(os.environ["REGEN_CACHE_DIR"])
    target = move_away(project, tmp_path)
    restore(target)
    assert (target / "tools/copy.py").exists() and (target / "media/sky.png.regen.json").exists()
    assert not (target / "media/copy.png").exists(), "nothing ran that nobody allowed"
    assert bpy.ops.regen.trust_project() == {"FINISHED"}
    session.wait(60)
    bpy.ops.movie_director.regenerate_missing()
    session.wait(60)
    assert (target / "media/copy.png").read_bytes() == before


# ---------------------------------------------------------------------------------------------------------------- growth

WORDS = ["rain", "glass", "neon", "alley", "wet", "asphalt", "dusk", "fog", "lantern", "crane", "shot", "drifting", "slow", "dolly", "amber", "teal", "grain", "anamorphic", "flare", "puddle", "reflection", "crowd", "umbrella", "steam", "vent", "poster", "peeling", "brick", "copper", "sky", "storm", "distant", "thunder", "gull", "harbour", "rope", "mast", "window", "curtain", "lamp", "oak", "floor", "dust", "beam", "velvet", "seat", "marquee"]
COUNT = 1000


def write_recipes(project, count):
    """Sidecars with about 640 bytes of params each, as an image model has them, and an output of its own each."""
    chance = random.Random(1)
    sizes = []
    for number in range(count):
        params = {
            "prompt": " ".join(chance.choices(WORDS, k=34)), "negative_prompt": " ".join(chance.choices(WORDS, k=10)), "seed": str(chance.getrandbits(64)),
            "steps": chance.randint(20, 50), "cfg_scale": round(chance.uniform(4, 9), 2), "width": 1024, "height": 576, "sampler": chance.choice(["euler", "dpmpp_2m", "ddim"]),
            "scheduler": "karras", "denoise": round(chance.random(), 3), "lora": {"name": chance.choice(WORDS), "weight": round(chance.random(), 2)}, "clip_skip": 2,
            "model_hint": "sd_xl_base", "tiling": False, "batch": 1, "upscale": {"by": 1.5, "using": "lanczos"},
        }  # fmt: skip
        sizes.append(len(json.dumps(params)))
        hex_of = lambda: f"{chance.getrandbits(256):064x}"  # noqa: E731
        document = {
            "generator": "command:paint", "definition": f"blake3:{'ab' * 32}", "params": params, "meta": {"created": f"2026-11-{number % 28 + 1:02d}T10:00:00Z", "shot": f"{number // 20:03d}"},
            "models": {"checkpoint": {"name": "sd_xl_base_1.0.safetensors", "version": "1.0", "hash": f"sha256:{'cd' * 32}"}}, "regen": 1,
            "output": {"content": f"pixels:blake3:{hex_of()}", "hash": f"blake3:{hex_of()}", "key": hex_of(), "look": f"{chance.getrandbits(144):036x}"[:34], "media": {"width": 1024, "height": 576, "type": "image/png"}, "size": chance.randint(10**5, 10**6)},
        }  # fmt: skip
        path = project.path(f"shots/{number // 20:03d}/plate_{number:04d}.png.regen.json")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            json.dump(document, file, indent=2, sort_keys=True)
            file.write("\n")
    return sum(sizes) / count


def test_a_thousand_assets_cost_less_than_a_kilobyte_each(session, project, record_property):
    """In a file that is not compressed, both copies and the list of assets included."""
    from regen_vcs_addon import blend_vault
    from regen_vcs_addon.vault_recipes import recipes_in

    bpy.context.preferences.addons["regen_vcs_addon"].preferences.vault = "ALL"
    path = project.save()
    session.wait(60)
    bpy.ops.wm.save_as_mainfile(filepath=path, compress=False)
    empty = os.path.getsize(path)
    size = write_recipes(project, COUNT)
    project.regen("check", "--fix", "--no-bytes", check=False)
    project.git("add", "-A")
    session.refresh()
    session.wait(120)
    assert len(session.rows) == COUNT
    began = time.monotonic()
    bpy.ops.wm.save_as_mainfile(filepath=path, compress=False)
    took = time.monotonic() - began
    began = time.process_time()  # of this process: others are at work beside it
    bpy.ops.wm.save_as_mainfile(filepath=path, compress=False)
    again = time.process_time() - began
    growth = (os.path.getsize(path) - empty) / COUNT
    print(f"{size:.0f} B of params an asset: {growth:.0f} B an asset in the .blend; first save {took:.2f} s, next {again:.2f} s")
    assert 560 < size < 720
    assert growth < 1000
    assert again < 0.5
    open_again()
    assert len(recipes_in(blend_vault.read().export)) == COUNT
    assert len(session.remembered) == COUNT


@pytest.mark.parametrize("compress", [False, True])
def test_the_tool_restores_from_the_file_itself(session, film, tmp_path, compress):
    """`regen-vcs restore film.blend`, with no Blender at hand: both copies as this Blender writes them."""
    bpy.ops.wm.save_mainfile(compress=compress)
    target = move_away(film, tmp_path)
    film.root = str(target)
    film.git("init", "-q")
    film.regen("init")
    done = film.regen("restore", "film.blend")
    assert "damaged" not in done.stderr
    assert (target / "media/sky.png.regen.json").exists()
