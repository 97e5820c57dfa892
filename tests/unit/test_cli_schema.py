"""`schema`: what generators accept, listed, printed, exported."""

from __future__ import annotations

import json

from jsonschema import Draft202012Validator

from tests.conftest import Project

PROJECT = """\
[generators.upscale]
uses = "command"
argv = ["python3", "-c", "pass", "{output}", "{params.scale}"]

[generators.upscale.params]
scale = { type = "integer", minimum = 1, maximum = 8, default = 2 }

[generators.broken]
uses = "nothing-of-that-name"
"""


def test_the_list(project):
    project.write("regen.toml", PROJECT.replace('"nothing-of-that-name"', '"texture"').encode())
    entries = {each["name"]: each for each in json.loads(project.regen("schema", "--json").stdout)["generators"]}
    assert {"texture", "tone", "command", "command:upscale", "texture:broken"} <= entries.keys()
    assert entries["texture"]["exact"] is True and entries["texture"]["about"] and entries["texture"]["problem"] is None
    assert entries["command:upscale"]["exact"] is False and entries["command:upscale"]["about"].startswith("python3 -c")
    lines = {line.split()[0]: line for line in project.regen("schema").stdout.splitlines()}
    assert "exact" in lines["texture"].split() and "exact" not in lines["command:upscale"].split()


def test_the_schema_of_a_generator(project):
    schema = json.loads(project.regen("schema", "texture").stdout)
    Draft202012Validator.check_schema(schema)
    assert schema["title"] == "params of texture" and schema["properties"]["width"]["minimum"] == 1
    project.write("regen.toml", PROJECT.encode())
    schema = json.loads(project.regen("schema", "command:upscale").stdout)
    assert schema["properties"]["scale"]["maximum"] == 8


def test_outside_a_repository(home, tmp_path):
    outside = Project(home, tmp_path)
    assert json.loads(outside.regen("schema", "texture").stdout)["properties"]
    assert "texture" in outside.regen("schema").stdout
    for words in (["command:x"], ["--export"]):
        done = outside.regen("schema", *words, check=False)
        assert done.returncode == 2 and "Traceback" not in done.stderr


def test_an_unknown_generator_is_near_one_that_is_known(project):
    done = project.regen("schema", "textur", check=False)
    assert done.returncode == 2 and "did you mean texture?" in done.stderr
    assert project.regen("schema", "texture", "--export", check=False).returncode == 2


def test_the_schema_of_sidecars_fits_what_is_written(project):
    schema = json.loads(project.regen("schema", "--sidecar").stdout)
    project.regen("generate", "sky.png", "--generator", "texture", "--param", "width=16", "--param", "height=16")
    Draft202012Validator(schema).validate(json.loads(project.path("sky.png.regen.json").read_text()))


def test_export_for_a_machine_without_the_generators(project):
    project.write("regen.toml", PROJECT.partition("[generators.broken]")[0].encode())
    project.regen("generate", "sky.png", "--generator", "texture", "--no-run")
    done = project.regen("schema", "--export")
    folder = project.path(".regen/schemas")
    assert sorted(path.name for path in folder.iterdir()) == ["command-upscale.json", "sidecar.schema.json", "texture.json"]
    assert "wrote .regen/schemas/command-upscale.json" in done.stdout
    schema = json.loads((folder / "texture.json").read_text())
    params = json.loads(project.path("sky.png.regen.json").read_text())["params"]
    Draft202012Validator(schema).validate(params)
    assert "are current" in project.regen("schema", "--export").stdout
    assert ".regen/schemas/texture.json" in project.git("status", "--porcelain", "-uall").stdout


def test_export_names_what_cannot_be_had_and_does_the_rest(project):
    project.write("regen.toml", PROJECT.encode())
    done = project.regen("schema", "--export", check=False)
    assert done.returncode in (2, 3) and "nothing-of-that-name" in done.stderr
    assert project.path(".regen/schemas/command-upscale.json").exists()
