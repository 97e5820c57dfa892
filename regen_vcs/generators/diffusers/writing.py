"""What a pipeline gives back, as files: pictures, frames, sound. Fixed encoder settings, nothing in them but samples."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from regen_vcs.generators.base import Job, JobFailed
from regen_vcs.model.paths import parse_sequence

AUDIO = (".wav", ".flac")
_VIDEO = (".mp4",)
_FIRST_FRAME = 1
# One thread: x264 gives other bytes for another number of them.
_X264 = {"crf": "16", "preset": "medium", "threads": "1", "x264-params": "threads=1:lookahead-threads=1"}


def suffix_of(output: str) -> str:
    return os.path.splitext(output)[1].lower()


def write_result(job: Job, result: Any, pipe: Any) -> None:
    """Write a pipeline's result to the job's output. JobFailed where it is of another kind than the name says."""
    audios = getattr(result, "audios", None)
    frames = getattr(result, "frames", None)
    images = getattr(result, "images", None)
    if audios is not None:
        write_audio(job.output, _only(audios, "sounds"), _sample_rate(pipe))
    elif frames is not None:
        write_frames(job, _pictures(_only(frames, "videos")))
    elif images is not None:
        pictures = _pictures(images)
        if len(pictures) != 1:
            raise JobFailed(f"the pipeline made {len(pictures)} pictures for one asset")
        write_picture(job, pictures[0])
    else:
        raise JobFailed(f"{type(pipe).__name__} gives back neither pictures, frames nor sound")


def write_picture(job: Job, picture: Image.Image) -> None:
    if parse_sequence(os.path.basename(job.output)):
        raise JobFailed("the pipeline makes one picture: name the asset without ####")
    save_picture(picture, job.output)


def write_frames(job: Job, pictures: Sequence[Image.Image]) -> None:
    """An .mp4, or a numbered sequence that starts at 1."""
    if suffix_of(job.output) in _VIDEO:
        write_mp4(job.output, pictures, job.params.fps)
        return
    if parse_sequence(os.path.basename(job.output)) is None:
        raise JobFailed(f"the pipeline makes {len(pictures)} frames: name the asset as in sky.####.png, or sky.mp4")
    for (_, path), picture in zip(job.frames(range(_FIRST_FRAME, _FIRST_FRAME + len(pictures))), pictures, strict=True):
        save_picture(picture, path)


def save_picture(picture: Image.Image, path: str) -> None:
    """One picture, without metadata. RGBA stays where the format has it."""
    suffix = suffix_of(path)
    if picture.mode not in ("L", "RGB", "RGBA"):
        picture = picture.convert("RGB")
    if picture.mode == "RGBA" and suffix in (".jpg", ".jpeg"):
        picture = picture.convert("RGB")
    bare = Image.frombytes(picture.mode, picture.size, picture.tobytes())
    if suffix == ".png":
        bare.save(path, "PNG", compress_level=6)
    elif suffix == ".webp":
        bare.save(path, "WEBP", lossless=True, quality=75, method=4, exact=True)
    elif suffix in (".jpg", ".jpeg"):
        bare.save(path, "JPEG", quality=95, subsampling=0, optimize=False, progressive=False)
    else:
        raise JobFailed(f"a picture is not written as {suffix or 'a file without a suffix'}")


def write_mp4(path: str, pictures: Sequence[Image.Image], fps: float) -> None:
    """H.264, 4:2:0, near lossless; the size must be even. JobFailed where PyAV is not installed."""
    try:
        import av
    except ImportError:
        raise JobFailed("an .mp4 needs PyAV: pip install 'regen-vcs[video]', or name the asset as in sky.####.png") from None
    from fractions import Fraction

    width, height = pictures[0].size
    if width % 2 or height % 2:
        raise JobFailed(f"{width}×{height}: H.264 wants even numbers; name the asset as in sky.####.png, or change the size")
    rate = Fraction(fps).limit_denominator(1001)
    with av.open(path, "w", format="mp4", options={"fflags": "+bitexact", "movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate, options=_X264)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(np.asarray(picture.convert("RGB")), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_audio(path: str, samples: Any, sample_rate: int) -> None:
    """samples: (n,) or (channels, n), −1…1; louder is clipped. 24 bits."""
    import soundfile

    if suffix_of(path) not in AUDIO:
        raise JobFailed(f"the pipeline makes sound: name the asset as in rain.flac, not {os.path.basename(path)}")
    values = samples.detach().float().cpu().numpy() if hasattr(samples, "detach") else np.asarray(samples)
    values = np.atleast_2d(values.astype(np.float64)).T
    if values.ndim != 2 or not np.isfinite(values).all():
        raise JobFailed("the pipeline's sound is not a row of finite samples")
    whole = np.floor(np.clip(values, -1.0, 1.0) * (2**23 - 1) + 0.5).astype(np.int32) << 8
    soundfile.write(path, whole, sample_rate, format=suffix_of(path)[1:].upper(), subtype="PCM_24")


def _only(items: Any, noun: str) -> Any:
    """The one item of a batch of one."""
    if len(items) != 1:
        raise JobFailed(f"the pipeline made {len(items)} {noun} for one asset")
    return items[0]


def _pictures(items: Any) -> list[Image.Image]:
    """Pictures as they come: PIL, or an array of floats (n, height, width, channels), 0…1."""
    return [each if isinstance(each, Image.Image) else _of_array(each) for each in items]


def _of_array(values: Any) -> Image.Image:
    array = values.detach().float().cpu().numpy() if hasattr(values, "detach") else np.asarray(values)
    if array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[-1] not in (1, 3, 4):
        array = array.transpose(1, 2, 0)  # torch has channels first
    if array.dtype != np.uint8:
        array = np.floor(np.clip(array.astype(np.float64), 0.0, 1.0) * 255 + 0.5).astype(np.uint8)
    return Image.fromarray(array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array)


def _sample_rate(pipe: Any) -> int:
    """A sound pipeline has its rate in one of its parts, each family in another."""
    for part in ("vocoder", "vae", "unet", "transformer"):
        config = getattr(getattr(pipe, part, None), "config", None)
        for name in ("sampling_rate", "sample_rate"):
            rate = getattr(config, name, None)
            if isinstance(rate, int) and rate > 0:
                return rate
    raise JobFailed(f"{type(pipe).__name__} does not say its sample rate")
