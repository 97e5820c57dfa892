"""`add` reads recipes out of files, in real repositories."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.embedded_files import (
    GRAPH,
    INFOTEXT,
    chunk,
    flac,
    international_chunk,
    mp4,
    png,
    text_chunk,
    texts_of_comfyui,
    webp,
)

COMFYUI = png(*(text_chunk(*each) for each in texts_of_comfyui().items()))
A1111 = png(international_chunk("parameters", INFOTEXT))


def sidecar(project, path: str) -> dict:
    return json.loads(project.path(path + ".regen.json").read_text())


def test_what_is_found_and_what_is_not_is_said(project):
    project.write("gen/shot.png", COMFYUI)
    done = project.regen("add", "gen/shot.png")
    assert "added gen/shot.png" in done.stdout
    assert "recipe found in the file (ComfyUI): batch_size, cfg, denoise" in done.stdout
    assert "not recovered: the hash of sd_xl_base_1.0.safetensors, ink.safetensors" in done.stdout
    document = sidecar(project, "gen/shot.png")
    assert document["generator"] == "comfyui"
    assert document["params"]["seed"] == "18446744073709551557"
    assert document["models"]["checkpoint"] == {"name": "sd_xl_base_1.0.safetensors"}
    assert document["meta"]["recovered"]["from"] == "ComfyUI, PNG tEXt"
    assert len(document["output"]["key"]) == 64
    assert document["output"]["content"].startswith("pixels:blake3:")


def test_it_commits_and_comes_back(project):
    """Whatever is installed here under the program's name, what was recovered need not fit it."""
    for name, data in (("a.png", COMFYUI), ("b.png", A1111), ("c.mp4", mp4(texts_of_comfyui())), ("d.flac", flac(texts_of_comfyui()))):
        project.write(name, data)
    project.regen("add", ".")
    project.commit("media")
    assert set(project.status().values()) == {"ok"}
    project.path("a.png").unlink()
    project.regen("sync")
    assert project.path("a.png").read_bytes() == COMFYUI


def test_the_graph_is_kept_beside_it(project, home):
    project.write("a.png", COMFYUI)
    project.regen("add", "a.png")
    document = sidecar(project, "a.png")
    digest = document["params"]["graph"].removeprefix("blake3:")
    assert document["meta"]["recovered"]["graph"] == f"blake3:{digest}"
    kept = home.keep / "v1" / "objects" / digest[:2] / digest[2:]
    assert json.loads(kept.read_bytes()) == GRAPH


def test_params_survive_the_loss_of_every_sidecar(project, home):
    project.write("a.png", A1111)
    project.regen("add", "a.png")
    key = sidecar(project, "a.png")["output"]["key"]
    project.path("a.png.regen.json").unlink()
    recipe = json.loads((home.keep / "v1" / "recipes" / key[:2] / f"{key}.json").read_bytes())
    assert recipe["params"]["seed"] == 4294967297


def test_it_can_not_be_made_again_and_says_so(project, home):
    project.write("a.png", A1111)
    project.regen("add", "a.png")
    project.commit("a")
    (asset,) = json.loads(project.regen("status", "--json").stdout)["assets"]
    assert asset["can_regenerate"] is False
    assert "no generator a1111 is installed here" in project.regen("explain", "a.png").stdout
    shutil.rmtree(home.keep / "v1" / "objects")
    shutil.rmtree(project.root / ".git" / "regen" / "spare", ignore_errors=True)
    project.path("a.png").unlink()
    done = project.regen("sync", check=False)
    assert "no generator a1111 is installed here" in done.stdout + done.stderr
    assert not project.path("a.png").exists()


def test_the_same_program_installed_here_does_not_claim_it(project):
    """A generator called `comfyui` is a built-in: it takes other params than a file tells of."""
    project.write("a.png", COMFYUI)
    project.regen("add", "a.png")
    project.commit("a")
    (asset,) = json.loads(project.regen("status", "--json").stdout)["assets"]
    assert asset["can_regenerate"] is False


def test_show_tells_where_it_is_from(project):
    project.write("a.png", A1111)
    project.regen("add", "a.png")
    shown = project.regen("show", "a.png").stdout
    assert "A1111 infotext, PNG iTXt" in shown
    assert "not recovered" in shown and "the control images" in shown


@pytest.mark.parametrize("words", [("--no-recover",), ("--as-source",)])
def test_who_does_not_want_it_says_so(project, words):
    project.write("a.png", A1111)
    project.regen("add", *words, "a.png")
    assert "generator" not in sidecar(project, "a.png")


def test_a_source_asset_gets_its_recipe_later(project):
    project.write("a.png", A1111)
    project.regen("add", "--no-recover", "a.png")
    project.commit("a")
    before = sidecar(project, "a.png")
    project.regen("add", "--recover", "a.png")
    after = sidecar(project, "a.png")
    assert (before.get("generator"), after["generator"]) == (None, "a1111")
    assert after["output"]["hash"] == before["output"]["hash"]
    assert after["meta"]["created"] == before["meta"]["created"]
    project.commit("with its recipe")
    assert project.status() == {"a.png": "ok"}


def test_recover_wants_something_to_recover(project):
    project.write("a.png", png())
    done = project.regen("add", "--recover", "a.png", check=False)
    assert done.returncode == 1
    assert "no recipe is in the file" in done.stderr
    assert not project.path("a.png.regen.json").exists()
    assert project.regen("add", "--recover", "--as-source", "a.png", check=False).returncode == 2


def test_ordinary_media_stay_source_assets(project):
    project.write("a.png", png(text_chunk("Software", "a camera")))
    project.write("b.webp", webp())
    project.write("c.bin", b"Steps: 1, Seed: 2")
    project.regen("add", ".")
    for name in ("a.png", "b.webp", "c.bin"):
        assert "generator" not in sidecar(project, name)


def test_of_many_a_summary_is_told(project):
    for number in range(25):
        project.write(f"gen/{number}.png", png(text_chunk("parameters", f"a\nSteps: 1, Seed: {number}")))
    done = project.regen("add", "gen")
    assert "25 added" in done.stdout
    assert "of 25 the recipe was in the file" in done.stdout


def test_a_hostile_file_is_media_like_any_other(project):
    bomb = chunk(b"zTXt", b"prompt\0\0" + __import__("zlib").compress(b"\0" * (32 << 20)))
    project.write("bomb.png", png(bomb, text_chunk("workflow", "[" * 50_000)))
    project.write("escape.png", png(international_chunk("parameters", "\x1b]0;owned\x07\nSteps: 1, Seed: 2, \x1b[31mx: 1, Model: ../../etc/passwd")))
    done = project.regen("add", "bomb.png", "escape.png")
    assert "\x1b" not in done.stdout + done.stderr
    assert "generator" not in sidecar(project, "bomb.png")
    assert "\\u001b" not in project.path("escape.png.regen.json").read_text()
    project.commit("media")
    assert project.status() == {"bomb.png": "ok", "escape.png": "ok"}


def test_flags_go_before_what_is_in_the_file(project):
    project.write("a.png", A1111)
    done = project.regen("add", "a.png", "--generator", "midjourney", "--param", "prompt=a fox", "--param", "v=6.1")
    document = sidecar(project, "a.png")
    assert (document["generator"], document["params"]) == ("midjourney", {"prompt": "a fox", "v": 6.1})
    assert "no generator midjourney is installed here" in done.stderr
    project.commit("a")
    assert project.status() == {"a.png": "ok"}


def test_a_slip_of_the_pen_is_no_generator_from_elsewhere(project):
    project.write("a.png", png())
    done = project.regen("add", "a.png", "--generator", "textur", check=False)
    assert done.returncode == 2
    assert "did you mean texture?" in done.stderr
