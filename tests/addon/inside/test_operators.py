"""What the buttons do."""

import json
import os

import bpy
import pytest

COPY = '\n[generators.copy]\nuses = "command"\nargv = ["cp", "{inputs.image}", "{output}"]\n'
# A picture that is never twice the same.
DICE = """\
import os, sys
open(sys.argv[1], "wb").write(b"P5 64 64 255 " + os.urandom(64 * 64))
"""


def bytes_of(path):
    with open(path, "rb") as file:
        return file.read()


def state_of(session, path):
    session.wait(60)
    return session.by_path[path].state


def test_regenerate_missing(session, film):
    film.texture("rain.png", seed=2)
    for name in ("sky.png", "rain.png"):
        os.unlink(film.path(name))
    session.refresh()
    session.wait(60)
    assert session.missing() == ["rain.png", "sky.png"]
    assert bpy.ops.movie_director.regenerate_missing() == {"FINISHED"}
    assert state_of(session, "sky.png") == state_of(session, "rain.png") == "ok"
    assert bpy.ops.movie_director.regenerate_missing() == {"FINISHED"}


def test_regenerate_one_after_an_edit(session, film):
    before = session.by_path["sky.png"].output
    bpy.context.window_manager.regen.assets["sky.png"].set_generation_params({"kind": "checker", "seed": 5, "width": 16, "height": 16})
    assert state_of(session, "sky.png") == "stale"
    assert bpy.ops.movie_director.regenerate_asset(asset_id="sky.png") == {"FINISHED"}
    assert state_of(session, "sky.png") == "ok"
    assert session.by_path["sky.png"].output != before


def test_regenerate_what_nothing_can_make(session, film):
    with open(film.path("photo.png"), "wb") as file:
        file.write(bytes_of(film.path("sky.png")) + b"x")
    film.regen("add", "photo.png", "--no-recover")
    session.refresh()
    session.wait(60)
    with pytest.raises(RuntimeError, match="cannot be regenerated"):
        bpy.ops.movie_director.regenerate_asset(asset_id="photo.png")
    with pytest.raises(RuntimeError, match="no asset"):
        bpy.ops.movie_director.regenerate_asset(asset_id="nothing.png")


def copy_of_sky(session, film):
    """An asset that is made from another."""
    with open(film.path("regen.toml"), "a") as file:
        file.write(COPY)
    film.regen("trust", "--yes")
    film.regen("generate", "copy.png", "--generator", "command:copy", "--input", "image=sky.png")
    session.refresh()
    session.wait(60)


def test_with_dependants(session, film):
    copy_of_sky(session, film)
    film.regen("set", "sky.png", "seed=9")
    session.refresh()
    session.wait(60)
    assert bpy.ops.movie_director.regenerate_asset(asset_id="sky.png", with_dependants=True) == {"FINISHED"}
    assert state_of(session, "copy.png") == "ok"
    assert bytes_of(film.path("copy.png")) == bytes_of(film.path("sky.png"))


def test_with_the_latest_model(session, film):
    with open(film.path("regen.toml"), "a") as file:
        file.write(COPY + '\n[models.tiny]\nname = "tiny.safetensors"\nversion = "1"\n')
    film.regen("trust", "--yes")
    film.regen("generate", "copy.png", "--generator", "command:copy", "--input", "image=sky.png", "--model", "base=tiny")
    with open(film.path("regen.toml")) as file:
        text = file.read().replace('version = "1"', 'version = "2"')
    with open(film.path("regen.toml"), "w") as file:
        file.write(text)
    film.regen("trust", "--yes")
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    session.wait(60)
    assert session.outdated_models == ["copy.png"]
    assert any("Newer models" in notice.text for notice in session.notices)
    assert bpy.ops.movie_director.regenerate_asset(asset_id="copy.png", use_latest_model=True) == {"FINISHED"}
    with open(film.path("copy.png.regen.json")) as file:
        assert json.load(file)["models"]["base"]["version"] == "2"


def test_accept_and_take_back(session, film):
    film.texture("other.png", kind="bricks")
    with open(film.path("sky.png"), "wb") as file:
        file.write(bytes_of(film.path("other.png")))
    session.refresh()
    assert state_of(session, "sky.png") == "modified"
    with open(film.path("sky.png"), "ab") as file:
        file.write(b"painted since")
    with pytest.raises(RuntimeError, match="changed since it was looked at"):
        bpy.ops.regen.accept(asset_id="sky.png")
    session.wait(60)
    assert bpy.ops.regen.accept(asset_id="sky.png") == {"FINISHED"}
    assert state_of(session, "sky.png") in ("ok", "stale")


def test_any_take_may_be_accepted_and_has_a_picture(session, film):
    with open(film.path("dice.py"), "w") as file:
        file.write(DICE)
    with open(film.path("regen.toml"), "a") as file:
        file.write('\n[generators.dice]\nuses = "command"\nargv = ["python3", "{code}/dice.py", "{output}"]\ncode = ["dice.py"]\n')
    film.regen("trust", "--yes")
    film.regen("generate", "dice.pgm", "--generator", "command:dice")
    film.commit("one")
    film.regen("regenerate", "dice.pgm")
    session.refresh()
    assert state_of(session, "dice.pgm") == "drifted"
    session.select("dice.pgm")
    session.wait(60)
    first, second = session.details["dice.pgm"].takes
    assert (first.name, first.accepted, second.name, second.can_be_accepted) == ("v001", True, "t2", True)
    assert os.path.isfile(first.thumbnail) and os.path.isfile(second.thumbnail) and first.thumbnail != second.thumbnail
    assert bpy.ops.regen.accept(asset_id="dice.pgm", take=second.hash) == {"FINISHED"}
    assert state_of(session, "dice.pgm") == "ok"
    assert session.by_path["dice.pgm"].output == second.hash
    with pytest.raises(RuntimeError, match="no take"):
        bpy.ops.regen.accept(asset_id="dice.pgm", take="v009")


def test_a_take_of_an_earlier_recipe_comes_back_with_it(session, film):
    session.refresh()
    session.wait(60)
    before = session.by_path["sky.png"].output
    assert film.regen("set", "sky.png", "seed=77")
    assert bpy.ops.movie_director.regenerate_asset(asset_id="sky.png") == {"FINISHED"}
    film.commit("another seed")
    session.select("sky.png")
    session.wait(60)
    old = next(take for take in session.details["sky.png"].takes if take.hash == before)
    assert old.can_come_with_its_recipe and not old.can_be_accepted
    with pytest.raises(RuntimeError, match="no take of its recipe as it is"):
        bpy.ops.regen.accept(asset_id="sky.png", take=old.hash)
    assert bpy.ops.regen.accept(asset_id="sky.png", take=old.hash, with_recipe=True) == {"FINISHED"}
    assert state_of(session, "sky.png") == "ok" and session.by_path["sky.png"].output == before
    session.wait(60)
    assert session.details["sky.png"].params.get("seed") != 77, "the recipe is shown as it is again"


def test_remove(session, film):
    from regen_vcs_addon import ops_remove

    film.commit("sky")
    copy_of_sky(session, film)
    assert "made from it" in ops_remove.consequences(session, "sky.png")[-1]
    with pytest.raises(RuntimeError, match=r"copy\.png is made from sky\.png"):
        bpy.ops.regen.remove(asset_id="sky.png")
    assert os.path.exists(film.path("sky.png.regen.json"))
    assert bpy.ops.regen.remove(asset_id="copy.png") == {"FINISHED"}
    session.wait(60)
    assert not os.path.exists(film.path("copy.png")) and not os.path.exists(film.path("copy.png.regen.json")) and "copy.png" not in session.by_path
    assert bpy.ops.regen.remove(asset_id="sky.png") == {"FINISHED"}
    assert film.git("restore", "--staged", "--worktree", "sky.png.regen.json") and os.path.exists(film.path("sky.png.regen.json")), "a version has it"


def test_an_asset_that_others_need_is_removed_if_one_insists(session, film):
    copy_of_sky(session, film)
    assert bpy.ops.regen.remove(asset_id="sky.png", anyway=True) == {"FINISHED"}
    assert not os.path.exists(film.path("sky.png.regen.json"))


def test_fetch(session, film):
    os.unlink(film.path("sky.png"))
    session.refresh()
    assert state_of(session, "sky.png") == "missing"
    assert bpy.ops.regen.fetch(asset_id="sky.png") == {"FINISHED"}
    assert state_of(session, "sky.png") == "ok"


def test_cancel(session, film):
    with open(film.path("regen.toml"), "a") as file:
        file.write('\n[generators.sleep]\nuses = "command"\nargv = ["sleep", "{params.seconds}"]\n')
    film.regen("trust", "--yes")
    film.regen("generate", "late.png", "--generator", "command:sleep", "--param", "seconds=50", "--no-run")
    session.refresh()
    session.wait(60)
    deed = session.do("Making late.png", "regenerate", "--", "late.png", paths=["late.png"])
    session.jobs.wait(2)
    assert deed in session.deeds
    bpy.ops.regen.cancel(asset_id="late.png")
    session.wait(30)
    assert not session.deeds
    assert any("cancelled" in notice.text for notice in session.notices)


def test_paths_fit_on_a_command_line():
    from regen_vcs_addon.ops_assets import in_portions

    paths = [f"{number:03d}" for number in range(10)]
    assert list(in_portions(paths, 9)) == [paths[0:3], paths[3:6], paths[6:9], paths[9:]]
    assert list(in_portions(["a" * 50, "b"], 9)) == [["a" * 50], ["b"]] and list(in_portions([])) == []


def test_a_folder_that_is_a_program_is_not_opened():
    from regen_vcs_addon.ops_assets import plain_folder

    assert plain_folder(os.path.join("film", "Sky.app", "Contents", "x.workflow")) == os.path.join("film", "Sky.app", "Contents")
    assert plain_folder(os.path.join("film", "Sky.app")) == "film"


def test_a_failure_is_told(session, film):
    with open(film.path("regen.toml"), "a") as file:
        file.write('\n[generators.fail]\nuses = "command"\nargv = ["false", "{output}"]\n')
    film.regen("trust", "--yes")
    film.regen("generate", "never.png", "--generator", "command:fail", "--no-run")
    session.refresh()
    session.wait(60)
    with pytest.raises(RuntimeError):
        bpy.ops.movie_director.regenerate_asset(asset_id="never.png")
    assert session.notices[-1].level == "ERROR"
    assert state_of(session, "never.png") == "failed"


def test_adopt(session, film, tmp_path):
    with open(film.path("photo.png"), "wb") as file:
        file.write(bytes_of(film.path("sky.png")) + b"x")
    assert bpy.ops.regen.adopt_file(filepath=film.path("photo.png")) == {"FINISHED"}
    assert state_of(session, "photo.png") == "ok"
    outside = tmp_path / "elsewhere.png"
    outside.write_bytes(b"x")
    with pytest.raises(RuntimeError, match="outside"):
        bpy.ops.regen.adopt_file(filepath=str(outside))


def test_snapshot_and_switch(session, film):
    assert bpy.ops.regen.setup_project() == {"FINISHED"}
    session.wait(60)
    assert bpy.ops.regen.snapshot(message="the first sky") == {"FINISHED"}
    assert film.git("log", "-1", "--format=%s").stdout.strip() == "the first sky"
    assert film.git("status", "--porcelain").stdout == ""
    film.git("branch", "other")
    film.texture("rain.png", seed=4)
    bpy.context.scene.frame_end = 77
    session.refresh()
    session.wait(60)
    assert bpy.ops.regen.snapshot(message="rain -- and 'quotes'") == {"FINISHED"}
    session.refresh_branches()
    session.wait(60)
    assert bpy.ops.regen.switch_version(name="other") == {"FINISHED"}
    session.wait(60)
    assert bpy.context.scene.frame_end != 77
    assert "rain.png" not in session.by_path and session.branch == "other"
    assert bpy.ops.regen.switch_version(name="main") == {"FINISHED"}
    session.wait(60)
    assert bpy.context.scene.frame_end == 77 and session.by_path["rain.png"].state == "ok"


def test_a_snapshot_wants_a_message(session, film):
    with pytest.raises(RuntimeError, match="few words"):
        bpy.ops.regen.snapshot(message=" ")


def test_storage(session, film):
    assert not bpy.ops.regen.clean_storage.poll()
    assert bpy.ops.regen.look_at_storage() == {"FINISHED"}
    assert session.documents["du"]["total"]["assets"] == 1
    assert bpy.ops.regen.clean_storage() == {"FINISHED"}
    assert state_of(session, "sky.png") == "ok"


def test_params_of_the_form(session, film):
    from regen_vcs_addon import props

    session.select("sky.png")
    session.wait(60)
    regen = props.window_properties()
    items = {item.name: item for item in regen.form}
    assert items["seed"].widget == "text_value" and items["seed"].text_value == "1"
    assert items["width"].int_value == 16 and items["kind"].enum_value == "fbm"
    items["seed"].text_value = "18446744073709551615"
    items["kind"].enum_value = "bricks"
    assert bpy.ops.regen.apply_params(asset_id="sky.png", make=True) == {"FINISHED"}
    assert state_of(session, "sky.png") == "ok"
    params = bpy.context.window_manager.regen.assets["sky.png"].get_generation_params()
    assert params["seed"] == "18446744073709551615" and params["kind"] == "bricks" and params["width"] == 16
    items = {item.name: item for item in regen.form}
    items["width"].int_value = 0
    with pytest.raises(RuntimeError, match="width"):
        bpy.ops.regen.apply_params(asset_id="sky.png")


def test_what_is_at_work_goes_on_when_the_file_is_opened_again(session, film):
    with open(film.path("regen.toml"), "a") as file:
        file.write('\n[generators.slow]\nuses = "command"\nargv = ["sh", "{code}/slow.sh", "{output}"]\ncode = ["slow.sh"]\n')
    with open(film.path("slow.sh"), "w") as file:
        file.write('sleep 2\necho done > "$1"\n')
    film.regen("trust", "--yes")
    film.regen("generate", "late.txt", "--generator", "command:slow", "--no-run")
    session.refresh()
    session.wait(60)
    deed = session.do("Making late.txt", "regenerate", "--", "late.txt", paths=["late.txt"])
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    assert session.deeds == [deed]
    assert state_of(session, "late.txt") == "ok" and session.deeds == []
