"""The nodes of the tests' ComfyUI: classes, inputs and files as the real ones have them, made with NumPy and Pillow."""

from __future__ import annotations

# ruff: noqa: RUF012 (classes of nodes are tables, as the real ones are)
import json
import os
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

SEED = ["INT", {"default": 0, "min": 0, "max": 2**64 - 1}]
SAMPLERS = [f"sampler_{number}" for number in range(42)]


class Interrupted(Exception):
    """POST /interrupt reached the prompt that runs."""


class Context:
    """What a node may use: the server's folders, the prompt as submitted, progress, and the interrupt flag."""

    def __init__(self, folder: Path, prompt: dict, extra: dict, on_step, gate: threading.Event):
        self.folder, self.prompt, self.extra, self._on_step = folder, prompt, extra, on_step
        self.interrupted = threading.Event()
        self.gate = gate

    def step(self, node: str, value: int, most: int) -> None:
        if self.interrupted.is_set():
            raise Interrupted
        self._on_step(node, value, most)

    def new_file(self, prefix: str, suffix: str, kind: str = "output") -> tuple[Path, dict]:
        """The next free name, found by listing the folder, as the real one does."""
        root = (self.folder / kind).resolve()
        base = (root / prefix).resolve()
        if os.path.commonpath((root, base)) != str(root):
            raise Exception("**** ERROR: Saving image outside the output folder is not allowed.")
        base.parent.mkdir(parents=True, exist_ok=True)
        taken = [name[len(base.name) + 1 :].split("_")[0] for name in os.listdir(base.parent) if name.startswith(base.name + "_")]
        number = max((int(each) for each in taken if each.isdecimal()), default=0) + 1
        name = f"{base.name}_{number:05}_{suffix}"
        subfolder = os.path.relpath(base.parent, root).replace(".", "", 1) if base.parent == root else os.path.relpath(base.parent, root)
        return base.parent / name, {"filename": name, "subfolder": subfolder, "type": kind}


class Node:
    """inputs: {"required": {field: configuration}}. output: whether it ends a graph."""

    required: dict = {}
    output = False

    def run(self, context: Context, node: str, **values):
        """(outputs, what the history lists or None)."""
        raise NotImplementedError


def save_png(context: Context, image: np.ndarray, path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("prompt", json.dumps(context.prompt))
    for key, value in (context.extra.get("extra_pnginfo") or {}).items():
        info.add_text(key, json.dumps(value))
    Image.fromarray(image).save(path, pnginfo=info, compress_level=4)


class EmptyImage(Node):
    required = {
        "width": ["INT", {"default": 512, "min": 1, "max": 16384}], "height": ["INT", {"default": 512, "min": 1, "max": 16384}],
        "batch_size": ["INT", {"default": 1, "min": 1, "max": 4096}], "color": ["INT", {"default": 0, "min": 0, "max": 0xFFFFFF}],
    }  # fmt: skip

    def run(self, context, node, width, height, batch_size, color):
        pixel = np.array([color >> 16, color >> 8 & 255, color & 255], np.uint8)
        return [np.broadcast_to(pixel, (batch_size, height, width, 3)).copy()], None


class ImageAddNoise(Node):
    required = {"image": ["IMAGE"], "seed": SEED, "strength": ["FLOAT", {"default": 0.5, "min": 0.0, "max": 1.0, "step": 0.01}]}

    def run(self, context, node, image, seed, strength):
        noise = np.random.Generator(np.random.PCG64(seed)).normal(0, strength * 255, image.shape)
        return [np.clip(image + noise, 0, 255).astype(np.uint8)], None


class ImageInvert(Node):
    required = {"image": ["IMAGE"]}

    def run(self, context, node, image):
        return [255 - image], None


class LoadImage(Node):
    required = {"image": [["example.png"], {"image_upload": True}]}

    def run(self, context, node, image):
        with Image.open(context.folder / "input" / image) as opened:
            return [np.asarray(opened.convert("RGB"))[None]], None


class CheckpointLoaderSimple(Node):
    required = {"ckpt_name": ["checkpoints"]}

    def run(self, context, node, ckpt_name):
        return [ckpt_name, ckpt_name, ckpt_name], None


class LoraLoaderModelOnly(Node):
    required = {"model": ["MODEL"], "lora_name": ["loras"], "strength_model": ["FLOAT", {"default": 1.0, "min": -100.0, "max": 100.0}]}

    def run(self, context, node, model, lora_name, strength_model):
        return [f"{model}+{lora_name}"], None


class KSampler(Node):
    """Takes a model, so that graphs have something to load; gives a picture straight away."""

    required = {
        "model": ["MODEL"], "seed": SEED, "steps": ["INT", {"default": 20, "min": 1, "max": 10000}],
        "cfg": ["FLOAT", {"default": 8.0, "min": 0.0, "max": 100.0}], "sampler_name": [SAMPLERS, {}],
    }  # fmt: skip

    def run(self, context, node, model, seed, steps, cfg, sampler_name):
        for step in range(steps):
            context.step(node, step + 1, steps)
            context.gate.wait(30)
        noise = np.random.Generator(np.random.PCG64([seed, len(model), int(cfg * 100)]))
        return [noise.integers(0, 256, (1, 16, 16, 3), np.uint8)], None


class Slow(Node):
    """A node that takes its time, and hears an interrupt only between its steps."""

    required = {"image": ["IMAGE"], "steps": ["INT", {"default": 10, "min": 1, "max": 10000}]}

    def run(self, context, node, image, steps):
        for step in range(steps):
            context.step(node, step + 1, steps)
            time.sleep(0.02)
        return [image], None


class ImageBlur(Node):
    """Hears an interrupt only when it is through, as the real one."""

    required = {
        "image": ["IMAGE"], "blur_radius": ["INT", {"default": 1, "min": 1, "max": 31}],
        "sigma": ["FLOAT", {"default": 1.0, "min": 0.1, "max": 10.0}],
    }  # fmt: skip

    def run(self, context, node, image, blur_radius, sigma):
        time.sleep(image.size / 2e7)
        context.step(node, 1, 1)
        return [image], None


class Broken(Node):
    required = {"image": ["IMAGE"]}

    def run(self, context, node, image):
        raise ValueError("the shapes do not\nmatch: \x1b[31m3 and 4")


class SaveImage(Node):
    required = {"images": ["IMAGE"], "filename_prefix": ["STRING", {"default": "ComfyUI"}]}
    output = True

    def run(self, context, node, images, filename_prefix):
        listed = []
        for image in images:
            path, entry = context.new_file(filename_prefix, ".png")
            save_png(context, image, path)
            listed.append(entry)
        return [], {"images": listed}


class PreviewImage(Node):
    required = {"images": ["IMAGE"]}
    output = True

    def run(self, context, node, images):
        path, entry = context.new_file("ComfyUI_temp_abcde", ".png", "temp")
        save_png(context, images[0], path)
        return [], {"images": [entry]}


class SaveAnimatedWEBP(Node):
    required = {"images": ["IMAGE"], "filename_prefix": ["STRING", {}], "fps": ["FLOAT", {"default": 6.0, "min": 0.01, "max": 1000.0}]}
    output = True

    def run(self, context, node, images, filename_prefix, fps):
        path, entry = context.new_file(filename_prefix, ".webp")
        frames = [Image.fromarray(image) for image in images]
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=int(1000 / fps), lossless=True)
        return [], {"images": [entry], "animated": [True]}


class SaveVideo(Node):
    """Films stand under "images" too. These bytes are a film to nobody but this test."""

    required = {"images": ["IMAGE"], "filename_prefix": ["STRING", {}], "format": ["COMBO", {"options": ["auto", "mp4"]}]}
    output = True
    key = "images"

    def run(self, context, node, images, filename_prefix, format):
        path, entry = context.new_file(filename_prefix, ".mp4")
        path.write_bytes(b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + images.tobytes())
        return [], {self.key: [entry], "animated": [True]}


class VHS_VideoCombine(SaveVideo):
    key = "gifs"


class SaveAudio(Node):
    required = {"filename_prefix": ["STRING", {}], "duration": ["FLOAT", {"default": 1.0, "min": 0.0, "max": 100.0}]}
    output = True

    def run(self, context, node, filename_prefix, duration):
        path, entry = context.new_file(filename_prefix, ".flac")
        path.write_bytes(b"fLaC" + bytes(int(duration * 100)))
        return [], {"audio": [entry]}


class PreviewAny(Node):
    required = {"source": ["*"]}
    output = True

    def run(self, context, node, source):
        return [], {"text": [str(source)]}


CLASSES: dict[str, type[Node]] = {kind.__name__: kind for kind in (
    EmptyImage, ImageAddNoise, ImageInvert, LoadImage, CheckpointLoaderSimple, LoraLoaderModelOnly, KSampler, Slow, ImageBlur, Broken,
    SaveImage, PreviewImage, SaveAnimatedWEBP, SaveVideo, VHS_VideoCombine, SaveAudio, PreviewAny,
)}  # fmt: skip
