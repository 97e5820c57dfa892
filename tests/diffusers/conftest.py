"""A tiny Stable Diffusion, built here from seed 0: no weights are downloaded, and two processes build the same bytes."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

NEEDED = ("torch", "diffusers", "transformers", "safetensors")


def pytest_collection_modifyitems(items):
    """What runs a pipeline is skipped where the extra is not installed; the rest of this folder needs nothing."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        reason = f"needs {', '.join(missing)}: pip install 'regen-vcs[diffusers]'"
        for item in items:
            if item.get_closest_marker("pipelines"):
                item.add_marker(pytest.mark.skip(reason=reason))


def build_tiny(folder: Path) -> Path:
    """Save a Stable Diffusion of 300,000 weights in `folder`, safetensors."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        block_out_channels=(8, 16), norm_num_groups=4, layers_per_block=1, sample_size=16, in_channels=4, out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16, attention_head_dim=4,
    )  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=(8, 16), norm_num_groups=4, in_channels=3, out_channels=3, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    letters = [chr(n) for n in range(97, 123)]
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    # By value: `vocab_file=` is ignored without a word, and then every prompt is the same one.
    tokenizer = CLIPTokenizer(vocab={word: at for at, word in enumerate(words)}, merges=[], model_max_length=77)
    text = CLIPTextModel(CLIPTextConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        bos_token_id=len(words) - 2, eos_token_id=len(words) - 1, pad_token_id=len(words) - 1,
    ))  # fmt: skip
    pipe = StableDiffusionPipeline(
        vae=vae, text_encoder=text, tokenizer=tokenizer, unet=unet, scheduler=DDIMScheduler(clip_sample=False, steps_offset=1), safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipe.save_pretrained(folder, safe_serialization=True)
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """The folder `tiny-sd` in a folder of models."""
    return build_tiny(tmp_path_factory.mktemp("models") / "tiny-sd")


@pytest.fixture
def bare(tmp_path) -> Path:
    """The skeleton of a pipeline's folder, for what must be refused before anything is loaded."""
    folder = tmp_path / "bare"
    (folder / "unet").mkdir(parents=True)
    index = {"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"], "scaling": [1, 2, 3]}
    (folder / "model_index.json").write_text(json.dumps(index))
    (folder / "unet" / "w.safetensors").write_bytes(b"")
    return folder
