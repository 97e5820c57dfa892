"""pre-commit and `check`: each refusal with its file, field, reason and what mends it; and what they let pass."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import unicodedata

import pytest

from regen_vcs.model.recipe import recipe_bytes
from tests.real_git.recipes import TEXTURE, generated, hash_of, output_of, read, source, write

REVIEW_AT = "2026-11-22T10:00:00Z"
COMMAND_TABLE = b"""
[generators.upscale]
uses = "command"
argv = ["python3", "{code}/upscale.py", "{inputs.image}", "{output}"]
code = ["tools/upscale.py"]
[generators.upscale.params.scale]
type = "integer"
default = 2
"""


def refused(project, *argv: str) -> str:
    """What a commit says that the hook refuses."""
    done = project.git("commit", "-qm", "x", *argv, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "regen-vcs: not committed:" in done.stderr
    return done.stderr


def committed(project, *argv: str) -> str:
    """What a commit says that goes through."""
    return project.git("commit", "-qm", "x", *argv).stderr


def stage(project, *paths: str) -> None:
    """Stage these, or everything but media: sidecars written by hand have no line in the ignore block yet."""
    project.git("add", "--", *(paths or (".", ":!*.png", ":!*.exr")))


def stage_sidecar(project, asset: str, recipe, data: bytes | None = None) -> None:
    write(project, asset, recipe, data)
    stage(project, f"{asset}.regen.json")


def mend_of(text: str) -> str:
    """The command that the first problem names."""
    return next(line for line in text.splitlines() if line.startswith("  mend: ")).removeprefix("  mend: ")


def approved(recipe, state: str = "approved"):
    return recipe.replace(review={"state": state, "hash": f"blake3:{recipe.output.hash}", "at": REVIEW_AT, "by": "lead"})


# --- text ---------------------------------------------------------------------------------------------


def test_a_sidecar_that_is_not_canonical_is_refused_and_fix_mends_it(project):
    write(project, "sky.png", source(b"sky"), b"sky")
    path = project.path("sky.png.regen.json")
    path.write_text(path.read_text().replace('"regen": 1', '"regen":1'))
    stage(project, "sky.png.regen.json")
    said = refused(project)
    assert "sky.png.regen.json: is not in canonical form" in said
    command = mend_of(said)
    assert command == "regen-vcs check --fix sky.png.regen.json"
    assert "git add sky.png.regen.json" in project.run("sh", "-c", command).stdout
    stage(project, "sky.png.regen.json")
    committed(project)
    assert path.read_bytes() == recipe_bytes(source(b"sky"))


def test_conflict_markers_are_refused(project):
    project.write("sky.png.regen.json", b'{\n<<<<<<< ours\n  "regen": 1\n=======\n  "regen": 1,\n>>>>>>> theirs\n}\n')
    stage(project)
    assert "sky.png.regen.json: has git conflict markers, line 2" in refused(project)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"regen": 1, "regen": 1}', "sky.png.regen.json: regen: "),
        (b'{"regen": 1, "generator": "texture", "params": {"a": NaN}}', "not"),
        (b'{"regen": 1}', "sky.png.regen.json: output: needed where there is no generator"),
        (b'{"regen": 1, "generator": "texture", "output": {"hash": "x"}}', "output.hash: must be 'blake3:'"),
        (b"", "sky.png.regen.json: is empty"),
        (b"\xff\xfe{}", "not UTF-8"),
    ],
)
def test_invalid_text_is_refused(project, text, expected):
    project.write("sky.png.regen.json", text)
    stage(project)
    assert expected in refused(project)


def test_a_newer_format_is_left_to_newer_versions(project):
    project.write("sky.png.regen.json", b'{\n  "regen": 99\n}\n')
    stage(project)
    said = committed(project)
    assert "warning: sky.png.regen.json: regen: format 99 is newer" in said


def test_staged_says_before_a_commit_what_the_hook_will_say(project):
    stage_sidecar(project, "sky.png", source(b"sky"), b"sky")
    assert json.loads(project.regen("check", "--staged", "--json").stdout)["errors"] == 0
    project.git("commit", "-qm", "one")
    (project.root / "bad.png.regen.json").write_text("{")
    (project.root / "later.png.regen.json").write_text("{")
    stage(project, "bad.png.regen.json")
    done = project.regen("check", "--staged", "--json", check=False)
    document = json.loads(done.stdout)
    assert done.returncode == 3 and [each["path"] for each in document["problems"]] == ["bad.png.regen.json"]
    assert document["problems"][0]["reason"] in refused(project)
    assert project.regen("check", "--staged", "--no-bytes", check=False).returncode == 2


def test_only_staged_sidecars_count(project):
    write(project, "sky.png", source(b"sky"), b"sky")
    stage(project)
    project.write("sky.png.regen.json", b"not JSON")
    project.write("other.png.regen.json", b"not JSON")
    committed(project)


def test_an_executable_sidecar_is_refused(project):
    write(project, "sky.png", source(b"sky"), b"sky")
    project.path("sky.png.regen.json").chmod(0o755)
    stage(project)
    said = refused(project)
    assert "sky.png.regen.json: is executable" in said
    project.run("sh", "-c", mend_of(said))
    committed(project)


def test_a_symlink_is_no_sidecar(project):
    project.write("elsewhere.json", recipe_bytes(source(b"sky")))
    project.path("sky.png.regen.json").symlink_to("elsewhere.json")
    stage(project)
    assert "sky.png.regen.json: is a symlink: a sidecar is a plain file" in refused(project)


# --- names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [".gitattributes", "sub/.gitmodules", "regen.toml", "back\\slash.png"])
def test_names_no_asset_may_have_are_refused(project, name):
    # regen.toml is tracked already; its sidecar is refused for the name all the same
    project.write(f"{name}.regen.json", recipe_bytes(source(b"sky")))
    stage(project, f"{name}.regen.json")
    assert f"{name}.regen.json: " in refused(project, "--", f"{name}.regen.json")


def test_a_sidecar_without_a_name_is_refused(project):
    project.write("sub/.regen.json", recipe_bytes(source(b"sky")))
    stage(project)
    assert "names no asset" in refused(project)


def test_collisions_are_refused(project):
    decomposed, composed = unicodedata.normalize("NFD", "ü.png"), unicodedata.normalize("NFC", "ü.png")
    for name in ("Sky.png", "sky.png", decomposed, composed):
        project.write(f"{name}.regen.json", recipe_bytes(source(b"sky")))
    stage(project)
    said = refused(project)
    assert "Sky.png.regen.json: collides with sky.png.regen.json" in said
    assert said.count("collides with") == 4


def test_an_asset_inside_an_asset_is_refused(project):
    project.write("plates/a.png", b"a")
    project.regen("add", "--as-one", "plates")
    write(project, "plates/deep/b.png", source(b"b"), b"b")
    project.git("add", "-f", "plates.regen.json", "plates/deep/b.png.regen.json")
    assert "plates/deep/b.png.regen.json: lies inside the asset plates" in refused(project)


# --- params and generators --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"kind": "nonsense"}, "sky.png.regen.json: params.kind: "),
        ({"octaves": 99}, "sky.png.regen.json: params.octaves: "),
        ({"octavs": 3}, "params.octavs: is not a parameter of this generator"),
    ],
)
def test_params_that_do_not_fit_are_refused(project, change, expected):
    stage_sidecar(project, "sky.png", generated("sky.png", None, TEXTURE | change))
    assert expected in refused(project)


def test_a_default_that_is_not_written_out_is_a_warning(project):
    params = {name: value for name, value in TEXTURE.items() if name != "octaves"}
    stage_sidecar(project, "sky.png", generated("sky.png", None, params))
    said = committed(project)
    assert "warning: sky.png.regen.json: params.octaves: its default is not written out" in said
    assert "  mend: regen-vcs set sky.png octaves=6" in said


def test_a_generator_that_is_not_installed_is_a_warning(project):
    stage_sidecar(project, "sky.png", generated("sky.png", None, {"a": 1}, generator="nebula"))
    said = committed(project)
    assert "warning: sky.png.regen.json: generator: no generator 'nebula' is installed" in said


def test_it_is_checked_against_the_exported_schema(project):
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False}
    project.write(".regen/schemas/nebula.json", json.dumps(schema).encode())
    write(project, "sky.png", generated("sky.png", None, {"a": "high"}, generator="nebula"))
    stage(project)
    said = refused(project)
    assert "warning: sky.png.regen.json: generator: no generator 'nebula' is installed" in said
    assert "sky.png.regen.json: params.a: " in said
    stage_sidecar(project, "sky.png", generated("sky.png", None, {"a": 3}, generator="nebula"))
    committed(project)


def test_a_generator_that_regen_toml_does_not_define_is_refused(project):
    recipe = generated("sky.png", None, {"scale": 2}, generator="command:upscale")
    stage_sidecar(project, "sky.png", recipe)
    assert "sky.png.regen.json: generator: regen.toml has no [generators.upscale]" in refused(project)


def test_forgetting_to_stage_regen_toml_is_noticed(project):
    project.write("tools/upscale.py", b"pass\n")
    project.path("regen.toml").write_bytes(project.path("regen.toml").read_bytes() + COMMAND_TABLE)
    write(project, "base.png", source(b"base"), b"base")
    stage(project, "tools/upscale.py", "base.png.regen.json")
    recipe = generated("sky.png", None, {"scale": 2}, generator="command:upscale", inputs={"image": "base.png"})
    stage_sidecar(project, "sky.png", recipe)
    said = refused(project)
    assert mend_of(said) == "git add regen.toml"
    project.run("sh", "-c", mend_of(said))
    assert "warning: sky.png.regen.json: definition: command:upscale is defined otherwise" in committed(project)


def test_an_invalid_regen_toml_is_refused(project):
    project.path("regen.toml").write_text('[checkout]\nwait = "soon"\n')
    write(project, "sky.png", source(b"sky"), b"sky")
    stage(project)
    assert "regen.toml: " in refused(project)


# --- inputs and keys --------------------------------------------------------------------------------------


def test_an_input_that_is_not_there_is_refused(project):
    stage_sidecar(project, "sky.png", generated("sky.png", None, TEXTURE, inputs={"image": "gone.png"}))
    assert "sky.png.regen.json: inputs.image: there is no gone.png in what is committed" in refused(project)


def test_an_input_that_was_not_staged_is_named_with_the_command(project):
    project.write("maps/base map.json", b"{}")
    stage_sidecar(project, "sky.png", generated("sky.png", None, TEXTURE, inputs={"map": "maps/base map.json"}))
    said = refused(project)
    assert mend_of(said) == "git add 'maps/base map.json'"
    project.run("sh", "-c", mend_of(said))
    committed(project)


def test_the_sidecar_of_an_input_that_was_not_staged_is_named(project):
    write(project, "base.png", source(b"base"), b"base")
    stage_sidecar(project, "sky.png", generated("sky.png", None, TEXTURE, inputs={"image": "base.png"}))
    assert mend_of(refused(project)) == "git add base.png.regen.json"


@pytest.mark.parametrize("value", ["../outside.png", "link.json"])
def test_inputs_that_leave_or_are_no_files_are_refused(project, value):
    project.path("link.json").symlink_to("elsewhere.json")
    stage(project, "link.json")
    stage_sidecar(project, "sky.png", generated("sky.png", None, TEXTURE, inputs={"image": value}))
    assert "sky.png.regen.json: inputs.image: " in refused(project)


def test_a_cycle_is_refused_and_shown(project):
    for asset, image in (("a.png", "b.png"), ("b.png", "c.png"), ("c.png", "a.png"), ("d.png", "a.png")):
        stage_sidecar(project, asset, generated(asset, None, TEXTURE, inputs={"image": image}))
    said = refused(project)
    assert "a.png.regen.json: inputs: depends on itself: a.png → b.png → c.png → a.png" in said
    assert "d.png.regen.json" not in said


def test_an_asset_that_is_its_own_input_is_refused(project):
    stage_sidecar(project, "a.png", generated("a.png", None, TEXTURE, inputs={"image": "a.png"}))
    assert "depends on itself: a.png → a.png" in refused(project)


def test_an_output_made_from_other_params_is_refused(project):
    recipe = generated("sky.png", b"sky", TEXTURE)
    stage_sidecar(project, "sky.png", recipe, b"sky")
    committed(project)
    stage_sidecar(project, "sky.png", recipe.replace(params=TEXTURE | {"seed": 8}))
    said = refused(project)
    assert "sky.png.regen.json: output.key: stale" in said
    assert mend_of(said) == "regen-vcs regenerate sky.png && git add sky.png.regen.json"


def test_the_key_follows_from_the_staged_input_not_from_the_one_on_disk(project):
    project.write("map.json", b"one")
    stage(project, "map.json")
    project.write("map.json", b"two")
    project.git("hash-object", "-w", "map.json")  # as the run that used it does
    recipe = generated("sky.png", b"sky", TEXTURE, inputs={"map": "map.json"}, hashes={"map": hash_of(b"two")})
    stage_sidecar(project, "sky.png", recipe, b"sky")
    said = refused(project)
    assert mend_of(said) == "git add map.json"
    project.run("sh", "-c", mend_of(said))
    committed(project)


def test_the_key_follows_from_the_accepted_output_of_an_asset(project):
    write(project, "base.png", source(b"base 1"), b"base 1")
    stage(project)
    committed(project)
    recipe = generated("sky.png", b"sky", TEXTURE, inputs={"image": "base.png"}, hashes={"image": hash_of(b"base 2")})
    stage_sidecar(project, "sky.png", recipe, b"sky")
    write(project, "base.png", source(b"base 2"), b"base 2")
    said = refused(project)
    assert mend_of(said) == "git add base.png.regen.json"
    project.run("sh", "-c", mend_of(said))
    committed(project)


def test_an_output_whose_input_is_pending_is_refused(project):
    stage_sidecar(project, "base.png", generated("base.png", None, TEXTURE))
    recipe = generated("sky.png", b"sky", TEXTURE, inputs={"image": "base.png"}, hashes={"image": hash_of(b"any")})
    stage_sidecar(project, "sky.png", recipe, b"sky")
    assert "output.key: stale: its input base.png has no accepted output" in refused(project)


def test_a_newer_sidecar_that_was_not_staged_is_named(project):
    stale = generated("sky.png", b"sky", TEXTURE).replace(params=TEXTURE | {"seed": 8})
    stage_sidecar(project, "sky.png", stale, b"sky")
    write(project, "sky.png", generated("sky.png", b"new sky", TEXTURE | {"seed": 8}), b"new sky")
    assert "  mend: git add sky.png.regen.json\n" in refused(project)


def test_a_pending_recipe_passes(project):
    stage_sidecar(project, "sky.png", generated("sky.png", None, TEXTURE))
    assert committed(project) == ""


def test_an_input_under_a_root_this_machine_does_not_have_is_a_warning(project):
    recipe = generated("sky.png", b"sky", TEXTURE, inputs={"plate": "@plates/a.exr"}, hashes={"plate": hash_of(b"any")})
    stage_sidecar(project, "sky.png", recipe, b"sky")
    assert "warning: sky.png.regen.json: inputs.plate: @plates/a.exr cannot be read here" in committed(project)


# --- bytes ------------------------------------------------------------------------------------------------


def test_bytes_that_are_nowhere_are_refused_and_taken_from_disk_once_there(project):
    stage_sidecar(project, "sky.png", source(b"sky"))
    said = refused(project)
    assert "sky.png.regen.json: output.hash: its bytes are in no store here, and not at its path" in said
    project.write("sky.png", b"sky")
    committed(project)
    assert b"sky" in [path.read_bytes() for path in project.user.keep.rglob("objects/*/*")]


def test_other_bytes_at_its_path_do_not_count(project):
    stage_sidecar(project, "sky.png", source(b"sky"), b"something else")
    assert "output.hash: its bytes are in no store" in refused(project)


def test_a_size_that_is_not_that_of_the_bytes_is_refused(project):
    recipe = source(b"sky").replace(output=output_of(b"sky")._replace(size=4))
    stage_sidecar(project, "sky.png", recipe, b"sky")
    assert "sky.png.regen.json: output.size: is 4, but its bytes are 3" in refused(project)


def test_a_directory_and_a_sequence_pass_and_their_members_are_asked_for(project):
    for number in (1, 2):
        project.write(f"seq/sky.{number:04d}.exr", b"%d" % number)
        project.write(f"plates/{number}.png", b"plate %d" % number)
    project.regen("add", "--as-one", "plates")
    project.regen("add", "seq/sky.####.exr")
    stage(project)
    committed(project)
    lost = next(path for path in project.user.keep.rglob("objects/*/*") if path.read_bytes() == b"plate 1")
    lost.unlink()
    project.path("plates/1.png").unlink()
    recipe = read(project, "plates")
    stage_sidecar(project, "plates", recipe.replace(output=recipe.output._replace(media={"note": "x"})))
    assert project.git("commit", "-qm", "x", check=False).returncode == 0, "the same bytes as before: nobody's new doing"
    checked = project.regen("check", check=False)
    assert checked.returncode == 3 and "plates.regen.json: output.hash" in checked.stdout


def test_a_sequence_without_frames_is_refused(project):
    project.write("sky.0001.exr", b"sky")
    stage_sidecar(project, "sky.####.exr", source(b"sky"))
    assert "sky.####.exr.regen.json: output.frames: missing" in refused(project)


def test_edited_assets_are_kept_by_the_hook(project):
    project.write("sky.png", b"sky")
    project.regen("add", "sky.png")
    stage(project)
    committed(project)
    project.write("sky.png", b"edited by hand")
    write(project, "other.png", source(b"other"), b"other")
    stage(project, "other.png.regen.json")
    committed(project)
    assert b"edited by hand" in [path.read_bytes() for path in project.user.keep.rglob("objects/*/*")]


# --- media that git should not have -----------------------------------------------------------------------


def test_an_asset_staged_as_raw_bytes_is_refused(project):
    project.write("sky.png", b"sky")
    project.regen("add", "sky.png")
    project.git("add", "-f", "sky.png", "sky.png.regen.json")
    said = refused(project)
    assert "sky.png: is media of sky.png.regen.json, and would be in git as raw bytes" in said
    project.run("sh", "-c", mend_of(said))
    committed(project)
    assert project.path("sky.png").exists()


def test_frames_and_members_staged_as_raw_bytes_are_refused(project):
    for number in (1, 2):
        project.write(f"seq/sky.{number:04d}.exr", b"%d" % number)
        project.write(f"plates/{number}.png", b"plate %d" % number)
    project.regen("add", "--as-one", "plates")
    project.regen("add", "seq/sky.####.exr")
    stage(project)
    committed(project)
    project.git("add", "-f", "seq/sky.0002.exr", "plates/1.png")
    said = refused(project)
    assert "seq/sky.0002.exr: is media of seq/sky.####.exr.regen.json" in said
    assert "plates/1.png: is media of plates.regen.json" in said


def test_a_sidecar_for_a_file_that_git_tracks_is_refused(project):
    project.write("logo.png", b"logo")
    stage(project, "logo.png")
    committed(project)
    stage_sidecar(project, "logo.png", source(b"logo"))
    assert "logo.png: is media of logo.png.regen.json" in refused(project)


def test_media_under_a_tracked_pattern_is_refused(project):
    project.regen("track", "media/**")
    project.write("media/a/raw.png", b"raw")
    project.write("sky.png", b"sky")
    project.regen("add", "sky.png")
    stage(project)
    project.git("add", "-f", "media/a/raw.png")
    assert "media/a/raw.png: is media by a tracked pattern, and would be in git as raw bytes" in refused(project)


def test_other_files_pass(project):
    project.write("notes.txt", b"notes")
    project.write("odd\nname.txt", b"notes")
    stage(project)
    assert committed(project) == ""


# --- review -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["approved", "final"])
def test_an_approved_output_changed_without_a_review_is_refused(project, state):
    first = approved(source(b"one"), state)
    stage_sidecar(project, "sky.png", first, b"one")
    committed(project)
    stage_sidecar(project, "sky.png", first.replace(output=output_of(b"two")), b"two")
    said = refused(project)
    assert f"sky.png.regen.json: review: the {state} output was changed without a new review" in said
    stage_sidecar(project, "sky.png", source(b"two"))
    assert "changed without a new review" in refused(project), "dropping the review is no review"
    stage_sidecar(project, "sky.png", approved(source(b"two")))
    committed(project)


def test_a_review_of_other_bytes_is_refused(project):
    recipe = approved(source(b"one")).replace(output=output_of(b"two"))
    stage_sidecar(project, "sky.png", recipe, b"two")
    assert "sky.png.regen.json: review.hash: the review is about another output" in refused(project)


def test_work_in_progress_may_change(project):
    first = approved(source(b"one"), "wip")
    stage_sidecar(project, "sky.png", first, b"one")
    committed(project)
    stage_sidecar(project, "sky.png", first.replace(output=output_of(b"two")), b"two")
    committed(project)


# --- which index, which parents -----------------------------------------------------------------------------


def test_a_commit_of_named_paths_is_judged_by_itself(project):
    project.write("broken.png.regen.json", b"not JSON")
    write(project, "sky.png", source(b"sky"), b"sky")
    stage(project)
    committed(project, "--", "sky.png.regen.json")
    assert "broken.png.regen.json: not JSON" in refused(project)


def test_commit_all_is_judged_by_what_it_will_commit(project):
    write(project, "sky.png", source(b"sky"), b"sky")
    stage(project)
    committed(project)
    project.path("sky.png.regen.json").write_text("not JSON")
    assert "sky.png.regen.json: not JSON" in refused(project, "-a")


def test_the_first_commit(home):
    project = home.repo("fresh", init=False)
    project.regen("init")
    write(project, "sky.png", source(b"sky"), b"sky")
    project.write("bad.png.regen.json", b"not JSON")
    stage(project)
    assert "bad.png.regen.json" in refused(project)
    project.git("rm", "-qf", "bad.png.regen.json")
    committed(project)


def test_a_merge_does_not_ask_for_bytes_that_the_other_side_committed(project):
    project.git("branch", "theirs")
    project.write("notes.txt", b"ours")
    stage(project)
    committed(project)
    project.git("switch", "-q", "theirs")
    write(project, "sky.png", source(b"somebody else's"))
    project.write("notes.txt", b"theirs")
    stage(project)
    project.git("commit", "-qnm", "theirs")  # made on another machine
    project.git("switch", "-q", "main")
    assert project.git("merge", "theirs", check=False).returncode == 1
    project.write("notes.txt", b"both")
    stage(project, "notes.txt")
    committed(project)


def test_a_subfolder_and_git_dash_c(project):
    write(project, "shots/sky.png", source(b"sky"))
    stage(project)
    done = project.git("-C", "shots", "commit", "-qm", "x", check=False)
    assert "shots/sky.png.regen.json: output.hash" in done.stderr


def test_nothing_of_ours_starts_nothing_heavy(project):
    project.path("regen.toml").write_text("")
    project.write("notes.txt", b"notes")
    stage(project)
    committed(project)
    project.write("notes.txt", b"more notes")
    stage(project)
    code = "import os, sys; from regen_vcs.cli.check import hook_main; code = hook_main(os.getcwd(), os.environ); " \
           "print(code, sorted({'click', 'pydantic', 'rich', 'dulwich', 'subprocess', 'jsonschema'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=project.root, env=project.env, capture_output=True, text=True)
    assert done.stdout == "0 []\n", done.stdout + done.stderr


def test_source_assets_load_no_schema_library(project):
    write(project, "sky.png", source(b"sky"), b"sky")
    stage(project)
    code = "import os, sys; from regen_vcs.cli.check import hook_main; code = hook_main(os.getcwd(), os.environ); " \
           "print(code, sorted({'click', 'pydantic', 'rich', 'dulwich', 'jsonschema', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=project.root, env=project.env, capture_output=True, text=True)
    assert done.stdout == "0 []\n", done.stdout + done.stderr


# --- the command ------------------------------------------------------------------------------------------


def commit_unchecked(project, message: str = "x") -> None:
    stage(project)
    project.git("commit", "-qnm", message)


def test_check_looks_at_everything_in_the_index(project):
    write(project, "good.png", source(b"good"), b"good")
    project.write("bad.png.regen.json", b"not JSON")
    commit_unchecked(project)
    done = project.regen("check", check=False)
    assert done.returncode == 3
    assert "bad.png.regen.json: not JSON" in done.stdout
    assert "2 sidecars checked: 1 error" in done.stdout
    assert project.regen("check", "good.png").stdout == "1 sidecar checked: all is well\n"


def test_check_of_a_range_reads_history(project):
    base = project.git("rev-parse", "HEAD").stdout.strip()
    project.write("bad.png.regen.json", b"not JSON")
    commit_unchecked(project)
    bad = project.git("rev-parse", "HEAD").stdout.strip()
    write(project, "bad.png", source(b"mended"), b"mended")
    commit_unchecked(project)
    assert project.regen("check", f"{base}..{bad}", check=False).returncode == 3
    assert project.regen("check", f"{base}..").returncode == 0
    assert project.regen("check", f"{bad}...HEAD").returncode == 0
    assert project.regen("check", f"{base}..{bad}", "elsewhere", check=False).returncode == 0


def test_check_without_bytes_is_for_ci(project):
    write(project, "sky.png", source(b"nowhere"))
    commit_unchecked(project)
    assert project.regen("check", check=False).returncode == 3
    assert project.regen("check", "--no-bytes").returncode == 0
    assert project.regen("check", "--no-bytes", "HEAD~1..HEAD").returncode == 0
    assert project.regen("check", "HEAD~1..HEAD", check=False).returncode == 3


def test_check_as_json(project):
    write(project, "sky.png", source(b"nowhere"))
    commit_unchecked(project)
    document = json.loads(project.regen("check", "--json", check=False).stdout)
    assert document["checked"] == document["errors"] == 1
    problem = document["problems"][0]
    assert set(problem) == {"path", "field", "reason", "mend", "severity"}
    assert (problem["path"], problem["field"]) == ("sky.png.regen.json", "output.hash")


def test_raw_media_in_history_and_in_the_index(project):
    project.write("sky.png", b"sky")
    project.regen("add", "sky.png")
    project.git("add", "-f", "sky.png", "sky.png.regen.json")
    project.git("commit", "-qnm", "raw")
    for words in ((), ("HEAD~1..HEAD",)):
        assert "sky.png: is media of sky.png.regen.json" in project.regen("check", *words, check=False).stdout


def test_check_of_an_unknown_revision(project):
    done = project.regen("check", "nowhere..HEAD", check=False)
    assert done.returncode == 2 and "nowhere is not a commit here" in done.stderr
    assert project.regen("check", "--fix", "HEAD~1..HEAD", check=False).returncode == 2
    assert project.regen("check", "no-such.png", check=False).returncode == 2


def test_a_path_above_is_no_range(project):
    write(project, "shots/sky.png", source(b"sky"), b"sky")
    write(project, "base.png", source(b"base"), b"base")
    stage(project)
    done = project.regen("check", "../base.png", cwd=project.path("shots"))
    assert done.stdout == "1 sidecar checked: all is well\n"


def test_check_of_a_conflict(project):
    write(project, "sky.png", source(b"one"), b"one")
    stage(project)
    committed(project)
    project.git("branch", "theirs")
    write(project, "sky.png", source(b"two"), b"two")
    committed(project, "-a")
    project.git("switch", "-q", "theirs")
    write(project, "sky.png", source(b"three"), b"three")
    committed(project, "-a")
    assert project.git("merge", "main", check=False).returncode == 1
    done = project.regen("check", check=False)
    assert done.returncode == 3 and "sky.png.regen.json: has a merge conflict" in done.stdout


def test_fix_leaves_what_it_cannot_read(project):
    project.write("bad.png.regen.json", b"not JSON")
    project.write("new.png.regen.json", b'{"regen":99}')
    stage(project)
    done = project.regen("check", "--fix", check=False)
    assert done.returncode == 3
    assert project.path("bad.png.regen.json").read_bytes() == b"not JSON"
    assert project.path("new.png.regen.json").read_bytes() == b'{"regen":99}'


def test_a_sha256_repository(home):
    project = home.repo("film", init=False)
    os.rename(project.root / ".git", project.root / ".git-sha1")
    project.git("init", "-q", "--object-format=sha256")
    project.regen("init")
    project.write("map.json", b"map")
    recipe = generated("sky.png", b"sky", TEXTURE, inputs={"map": "map.json"}, hashes={"map": hash_of(b"map")})
    write(project, "sky.png", recipe, b"sky")
    project.git("add", "map.json", "sky.png.regen.json", "regen.toml", ".gitattributes")
    committed(project)
    assert project.regen("check", "--json").returncode == 0


def test_a_captured_recipe_is_no_reason_for_a_warning_on_every_commit(project):
    """Its code is the user's own tool: nobody can install it as a generator, and its params are what it was called with."""
    project.run(sys.executable, "-c", (
        "from regen_vcs import capture\n"
        "with capture.recording('a.bin', generator='my-tool', params={'seed': 1}) as rec:\n"
        "    open(rec.path, 'w').write('x')\n"
    ))  # fmt: skip
    project.git("add", "-A")
    assert committed(project) == ""
