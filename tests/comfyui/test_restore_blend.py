"""A project with three kinds of generator, rebuilt from what its .blend carries, and made again to the byte."""

from __future__ import annotations

import json
import shutil

from tests.comfyui.conftest import picture
from tests.conftest import PYTHON
from tests.unit.test_vault_file import as_lines, as_property, blend, encode

PROJECT = """\
[generators.over]
uses = "comfyui"
workflow = "workflows/over.json"
servers = ["{url}"]
bind = {{ plate = "1.inputs.image", seed = "2.inputs.seed" }}

[generators.invert]
uses = "command"
argv = [{python}, "{{code}}/invert.py", "{{inputs.image}}", "{{inputs.table}}", "{{output}}"]
code = ["tools/invert.py"]
"""
INVERT = """\
import sys
from PIL import Image, ImageOps
assert open(sys.argv[2]).read() == "a table\\n"
ImageOps.invert(Image.open(sys.argv[1]).convert("RGB")).save(sys.argv[3])
"""
ASSETS = ("shots/sky.png", "shots/night.png", "shots/over.png")


def make_film(home, url: str):
    """A texture, a picture that a script makes from it, and one that a ComfyUI graph makes from that."""
    film = home.repo()
    graph = picture(**{"1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}}})
    film.write("workflows/over.json", json.dumps(graph).encode())
    film.write("tools/invert.py", INVERT.encode())
    film.write("tools/table.txt", b"a table\n")
    film.write("regen.toml", PROJECT.format(url=url, python=json.dumps(PYTHON)).encode())
    film.commit("tools")
    film.regen("trust", "--yes")
    film.regen("generate", ASSETS[0], "--generator", "texture", "--param", "width=32", "--param", "height=24", "--param", "depth=8")
    film.regen("generate", ASSETS[1], "--generator", "command:invert", "--input", f"image={ASSETS[0]}", "--input", "table=tools/table.txt")
    film.regen("generate", ASSETS[2], "--generator", "comfyui:over", "--input", f"plate={ASSETS[1]}", "--param", "seed=18446744073709551557")
    film.commit("film")
    return film


def test_a_texture_a_command_and_a_comfyui_graph(home, server):
    film = make_film(home, server.url)
    made = {asset: film.path(asset).read_bytes() for asset in ASSETS}
    film.regen("export", "film.regen-export")
    vault = encode(film.path("film.regen-export").read_bytes())
    for folder in (film.root, film.user.keep, film.user.cache):
        shutil.rmtree(folder)

    rescued = home.repo("rescued")
    rescued.write("film.blend", blend("4.5", *as_lines(vault), as_property(vault)))
    rescued.regen("restore", "film.blend")
    assert rescued.path("tools/invert.py").read_text() == INVERT and rescued.path("workflows/over.json").exists()
    assert set(rescued.status()) == set(ASSETS)
    refused = rescued.regen("regenerate", "--missing", check=False)
    assert refused.returncode != 0 and not rescued.path(ASSETS[1]).exists(), "what comes out of a .blend is not trusted"
    assert rescued.status() == dict(zip(ASSETS, ("ok", "missing", "missing"), strict=True)), "what never ran has not failed"
    rescued.regen("trust", "--yes")
    rescued.git("add", "-A")
    rescued.regen("regenerate", "--missing")
    assert {asset: rescued.path(asset).read_bytes() for asset in ASSETS} == made
    assert set(rescued.status().values()) == {"ok"}
    rescued.commit("restored")


def test_a_regen_toml_that_somebody_wrote_in_stays(home, server):
    film = make_film(home, server.url)
    film.regen("export", "film.regen-export")
    vault = encode(film.path("film.regen-export").read_bytes())
    rescued = home.repo("rescued")
    with open(rescued.path("regen.toml"), "a", encoding="utf-8") as file:
        file.write("# mine\n")
    rescued.write("film.blend", blend("4.5", as_property(vault)))
    done = rescued.regen("restore", "film.blend", check=False)
    assert done.returncode == 1 and "differs   regen.toml" in done.stdout + done.stderr
    assert rescued.path("regen.toml").read_text().endswith("# mine\n")
