"""What diffusers recipes, tables and folders may say: decided without torch."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from regen_vcs.errors import InvalidError
from regen_vcs.generators import registry
from regen_vcs.generators.base import Job, JobFailed
from regen_vcs.generators.diffusers import Diffusers, writing
from regen_vcs.generators.diffusers.arguments import arguments_of, fits
from regen_vcs.generators.diffusers.folder import check_folder
from regen_vcs.generators.diffusers.params import OPTIONS, DiffusersParams, fold_seed

MODULES = frozenset({"stable_diffusion"})


def params(**values) -> DiffusersParams:
    return registry.typed_params(Diffusers(), values)


def test_nothing_heavy_is_imported_for_params():
    assert registry.complete_params(registry.load("diffusers"), {"prompt": "a"})["steps"] == 30
    assert "regen_vcs.generators.diffusers.resident" not in sys.modules or "torch" in sys.modules


@pytest.mark.parametrize("seed, folded", [
    (0, 0), (1, 1), (2**32 - 1, 2**32 - 1), (2**32, 1), (2**32 + 1, 0), (2**64 - 1, 0), (2**64 - 2, 1), (2**63, 2**31),
])  # fmt: skip
def test_seeds_are_folded_to_what_torch_hears(seed, folded):
    assert fold_seed(params(seed=str(seed)).seed) == folded


@pytest.mark.parametrize("values, field", [
    ({"steps": 0}, "params.steps"), ({"dtype": "int8"}, "params.dtype"), ({"scheduler": "os.system"}, "params.scheduler"),
    ({"stesp": 3}, "params.stesp"), ({"seed": -1}, "params.seed"), ({"guidance": float("nan")}, "params.guidance"),
])  # fmt: skip
def test_bad_params_are_named(values, field):
    with pytest.raises(InvalidError) as found:
        params(**values)
    assert found.value.field == field


@pytest.mark.parametrize("table, field", [
    ({"argv": ["x"]}, "generators.x.argv"),
    ({"pipeline": "os.system"}, "generators.x.pipeline"),
    ({"pipeline": "./own.py"}, "generators.x.pipeline"),
    ({"options": {"trust_remote_code": True}}, "generators.x.options.trust_remote_code"),
    ({"options": {"custom_pipeline": "org/code"}}, "generators.x.options.custom_pipeline"),
    ({"options": {"use_safetensors": False}}, "generators.x.options.use_safetensors"),
    ({"options": {"variant": "../x"}}, "generators.x.options.variant"),
    ({"options": {"vae_tiling": "yes"}}, "generators.x.options.vae_tiling"),
    ({"params": {"stesp": {"default": 3}}}, "generators.x.params.stesp"),
])  # fmt: skip
def test_tables_that_could_name_code_are_refused(table, field):
    with pytest.raises(InvalidError) as found:
        registry.load("diffusers:x", {"uses": "diffusers", **table})
    assert found.value.field == field


def test_a_table_presets_params():
    table = {"uses": "diffusers", "pipeline": "StableDiffusionPipeline", "options": {"variant": "fp16"},
             "params": {"steps": {"default": 4, "maximum": 8}}}  # fmt: skip
    generator = registry.load("diffusers:x", table)
    assert registry.complete_params(generator, {})["steps"] == 4
    with pytest.raises(InvalidError, match="9"):
        registry.complete_params(generator, {"steps": 9})
    assert generator.local_models


def test_every_param_and_option_is_documented():
    page = (Path(__file__).parents[2] / "docs" / "generators.md").read_text()
    section = page.split("## `diffusers`")[1].split("\n## ")[0]
    missing = [name for name in (*DiffusersParams.model_fields, *OPTIONS) if f"`{name}`" not in section]
    assert not missing


# ---------------------------------------------------------------- folders


def change_index(folder: Path, **values) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | values))


def test_a_sound_folder(bare):
    assert check_folder(str(bare), MODULES) == "StableDiffusionPipeline"
    change_index(bare, safety_checker=[None, None], image_encoder=["stable_diffusion", "X"])
    (bare / "image_encoder").mkdir()
    check_folder(str(bare), MODULES)


def test_weights_only_as_pickle_are_refused(bare):
    (bare / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"")
    check_folder(str(bare), MODULES)  # beside safetensors it is never opened
    (bare / "unet" / "w.safetensors").unlink()
    with pytest.raises(JobFailed, match=r"unet/diffusion_pytorch_model\.bin: only as pickle"):
        check_folder(str(bare), MODULES)


@pytest.mark.parametrize("name", ["pipeline.py", "unet/modeling.py", "unet/fast.so", "unet/deep/x.pyc"])
def test_code_beside_the_weights_is_refused(bare, name):
    (bare / name).parent.mkdir(exist_ok=True)
    (bare / name).write_bytes(b"")
    with pytest.raises(JobFailed, match="code of its own"):
        check_folder(str(bare), MODULES)


@pytest.mark.parametrize("values, words", [
    ({"_class_name": ["own", "Pipeline"]}, "never run"),
    ({"_class_name": None}, "names no class"),
    ({"unet": ["os", "system"]}, "of 'os'"),
    ({"unet": ["regen_vcs.cli.main", "run"]}, "only parts of diffusers and transformers"),
    ({"more": ["os"]}, "of 'os'"),
    ({"vae": ["diffusers", "AutoencoderKL"]}, "no such folder"),
])  # fmt: skip
def test_an_index_that_names_something_else_is_refused(bare, values, words):
    change_index(bare, **values)
    with pytest.raises(JobFailed, match=words):
        check_folder(str(bare), MODULES)


def test_what_is_no_pipeline(tmp_path):
    with pytest.raises(JobFailed, match=r"no model_index\.json"):
        check_folder(str(tmp_path), MODULES)
    (tmp_path / "m.safetensors").write_bytes(b"")
    with pytest.raises(JobFailed, match="a single file"):
        check_folder(str(tmp_path / "m.safetensors"), MODULES)


# ---------------------------------------------------------------- arguments


class Painter:
    def __call__(self, prompt=None, negative_prompt=None, num_inference_steps=50, guidance_scale=7.5, width=None,
                 height=None, generator=None, num_images_per_prompt=1, clip_skip=None, output_type="pil"): ...  # fmt: skip


class Repainter:
    def __call__(self, prompt=None, image=None, mask_image=None, strength=0.8, num_inference_steps=50): ...


class Sampler:
    def __call__(self, batch_size=1, generator=None, num_inference_steps=1000, output_type="pil"): ...


class Controlled:
    def __call__(self, prompt=None, image=None, guidance_scale=5, num_inference_steps=1): ...


def test_arguments_by_the_signature():
    found = arguments_of(params(prompt="a", steps=4, extra={"clip_skip": 1}), {}, Painter)
    assert found == {"prompt": "a", "num_inference_steps": 4, "guidance_scale": 7.5, "num_images_per_prompt": 1, "clip_skip": 1}
    assert arguments_of(params(), {}, Sampler) == {"num_inference_steps": 30, "batch_size": 1}
    assert arguments_of(params(), {"control": "c"}, Controlled)["image"] == "c"
    assert arguments_of(params(strength=0.5), {"image": "i", "mask": "m"}, Repainter)["mask_image"] == "m"
    assert fits(Repainter, {"image": 1, "mask": 1}) and not fits(Painter, {"image": 1})


@pytest.mark.parametrize("values, inputs, words", [
    ({"strength": 0.5}, {}, "Painter takes no strength"),
    ({}, {"image": "i"}, "Painter takes no input image"),
    ({}, {"sound": "i"}, "not sound"),
    ({"extra": {"clip_ship": 1}}, {}, "did you mean clip_skip"),
    ({"extra": {"num_images_per_prompt": 2}}, {}, "not for a recipe to say"),
    ({"extra": {"generator": 2}}, {}, "not for a recipe to say"),
    ({"extra": {"callback": "os.system"}}, {}, "not for a recipe to say"),
])  # fmt: skip
def test_what_a_pipeline_does_not_take(values, inputs, words):
    with pytest.raises(JobFailed, match=words):
        arguments_of(params(**values), inputs, Painter)


# ---------------------------------------------------------------- files


def job_for(output: Path, **values) -> Job:
    return Job(params(**values), values, {}, str(output), str(output.parent))


class Result:
    def __init__(self, **values):
        self.__dict__.update(values)


def picture(shade: int = 80, size=(16, 8), mode="RGB") -> Image.Image:
    made = Image.new(mode, size, (shade,) * len(mode))
    made.info["parameters"] = "a prompt that must not get out"
    return made


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.jpg"])
def test_a_picture_has_no_metadata(tmp_path, name):
    writing.write_result(job_for(tmp_path / name), Result(images=[picture()]), None)
    with Image.open(tmp_path / name) as found:
        assert found.size == (16, 8)
        assert not any("prompt" in str(value) for value in found.info.values())
    assert b"prompt" not in (tmp_path / name).read_bytes()


def test_an_array_is_a_picture_too(tmp_path):
    writing.write_result(job_for(tmp_path / "a.png"), Result(images=np.full((1, 4, 6, 3), 0.5, np.float32)), None)
    with Image.open(tmp_path / "a.png") as found:
        assert found.size == (6, 4) and found.getpixel((0, 0)) == (128, 128, 128)


def test_transparency_stays_where_it_can(tmp_path):
    for name, mode in (("a.png", "RGBA"), ("a.jpg", "RGB")):
        writing.save_picture(picture(mode="RGBA"), str(tmp_path / name))
        with Image.open(tmp_path / name) as found:
            assert found.mode == mode


def test_frames_are_a_sequence(tmp_path):
    writing.write_result(job_for(tmp_path / "f.####.png"), Result(frames=[[picture(n) for n in (10, 20, 30)]]), None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.0001.png", "f.0002.png", "f.0003.png"]


def test_frames_are_a_film_with_the_same_bytes_each_time(tmp_path):
    pytest.importorskip("av", reason="needs PyAV: pip install 'regen-vcs[video]'")
    for name in ("a.mp4", "b.mp4", "c.mp4", "d.mp4"):
        writing.write_result(job_for(tmp_path / name, fps=23.976), Result(frames=[[picture(n * 9, (64, 32)) for n in range(12)]]), None)
    # On a busy virtual machine x264 gave other bytes in up to one of a hundred runs, with one thread and the same frames.
    made = Counter((tmp_path / name).read_bytes() for name in ("a.mp4", "b.mp4", "c.mp4", "d.mp4"))
    assert max(made.values()) >= 3
    from regen_vcs import media

    found = media.probe(str(tmp_path / "a.mp4"))
    assert (found["width"], found["height"]) == (64, 32)
    with pytest.raises(JobFailed, match="even"):
        writing.write_result(job_for(tmp_path / "odd.mp4"), Result(frames=[[picture(size=(7, 8))]]), None)


class Vocoder:
    class vocoder:
        class config:
            sampling_rate = 16000


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_sound(tmp_path, suffix):
    import soundfile

    wave = np.sin(np.arange(1600) / 10).astype(np.float32)
    writing.write_result(job_for(tmp_path / f"a.{suffix}"), Result(audios=wave[None]), Vocoder())
    data, rate = soundfile.read(str(tmp_path / f"a.{suffix}"))
    assert rate == 16000 and np.abs(data - wave).max() < 1e-6


@pytest.mark.parametrize("name, result, words", [
    ("a.png", {"frames": [[1, 2]]}, r"sky\.####\.png"),
    ("a.####.png", {"images": ["P"]}, "without ####"),
    ("a.png", {"images": ["P", "P"]}, "2 pictures for one asset"),
    ("a.png", {"audios": np.zeros((1, 10))}, r"rain\.flac"),
    ("a.mp4", {"images": ["P"]}, "not written as .mp4"),
    ("a.png", {}, "neither pictures"),
])  # fmt: skip
def test_a_result_of_another_kind_than_the_name(tmp_path, name, result, words):
    named = {key: [picture() if each == "P" else each for each in value] if isinstance(value, list) else value
             for key, value in result.items()}
    if "frames" in named:
        named["frames"] = [[picture(), picture()]]
    with pytest.raises(JobFailed, match=words):
        writing.write_result(job_for(tmp_path / name), Result(**named), Vocoder())


def test_without_the_extra_a_job_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("regen_vcs.generators.diffusers._NEEDS", ("torch_that_nobody_has",))
    with pytest.raises(JobFailed, match=r"pip install 'regen-vcs\[diffusers\]'"):
        Diffusers().run(job_for(tmp_path / "a.png"))
