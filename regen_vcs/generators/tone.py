"""`tone`: procedural sound. Line-up tones, slate beeps, sweeps, noise beds and drones; no server, no weights.

Exact: the same parameters give the same samples on every machine (see procedural/exact.py), in a WAV file the
same bytes. Sound is made in blocks, so an hour takes as little memory as a second.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import soundfile
from pydantic import Field as Described
from pydantic import model_validator

from regen_vcs.errors import InvalidError
from regen_vcs.generators.base import Job, Params, Seed
from regen_vcs.generators.procedural import sounds
from regen_vcs.generators.procedural.exact import (
    clamp,
    decibels,
    exp2,
    hash_line,
    smooth,
    sub_seed,
    unit,
)
from regen_vcs.generators.procedural.flac import FlacWriter
from regen_vcs.generators.procedural.sounds import BLOCK, Sound
from regen_vcs.generators.procedural.writers import WavWriter

MAX_SECONDS = 3600.0
MAX_WAV_BYTES = (1 << 32) - 256  # RIFF counts in 32 bits

CHORDS: dict[str, list[float]] = {
    "unison": [0],
    "octave": [0, 12],
    "fifth": [0, 7, 12],
    "major": [0, 4, 7],
    "minor": [0, 3, 7],
    "sus2": [0, 2, 7],
    "sus4": [0, 5, 7],
    "dim": [0, 3, 6],
    "aug": [0, 4, 8],
    "maj7": [0, 4, 7, 11],
    "min7": [0, 3, 7, 10],
    "dom7": [0, 4, 7, 10],
}
MAX_NOTES = 16

_NOISE = ("white", "pink", "brown")
# What `frequency` and `notes` are where they are not given; a recipe always has them written out.
_FREQUENCIES = {"sweep": 20.0, "drone": 55.0, "chord": 220.0}
_NOTES = {"drone": "fifth"}
_SQRT_HALF = 0.7071067811865476

# A drone's voices, in parts of `detune`, and how many seconds the slowest and the quickest take to breathe.
_DETUNED = (-1.0, 0.0, 1.0)
_BREATHS = (24.0, 7.0)


class ToneParams(Params):
    """What `tone` accepts. docs/generators.md tells which kind reads what."""

    kind: Literal[
        "sine", "square", "saw", "triangle", "white", "pink", "brown", "sweep", "beep", "silence", "drone", "chord"
    ] = Described("sine", description="what to sound")
    duration: float = Described(1.0, gt=0, le=MAX_SECONDS, description="seconds, an hour at most")
    sample_rate: int = Described(48000, ge=8000, le=192000, description="samples a second")
    channels: int = Described(1, ge=1, le=8, description="1 mono, 2 stereo, 6 is 5.1")
    depth: Literal[16, 24] = Described(24, description="bits a sample")
    level: float = Described(
        -20.0, ge=-144, le=0, description="dBFS: the peak; of noise the RMS, where a full sine is 0"
    )
    fade_in: float = Described(0.005, ge=0, le=MAX_SECONDS, description="seconds; of a beep: of each")
    fade_out: float = Described(0.005, ge=0, le=MAX_SECONDS, description="seconds; of a beep: of each")
    dither: bool = Described(False, description="triangular dither of one step, for quiet sounds at 16 bits")

    frequency: float | None = Described(
        None, ge=0.001, le=96000, description="Hz; none: 1000, sweep 20, drone 55, chord 220"
    )
    end_frequency: float = Described(20000.0, ge=0.001, le=96000, description="sweep: Hz at its end")
    curve: Literal["log", "linear"] = Described("log", description="sweep: equal time for each octave, or each Hz")
    wave: Literal["sine", "square", "saw", "triangle"] = Described(
        "sine", description="sweep, beep, drone, chord: what is swept or sounded"
    )
    duty: float = Described(0.5, ge=0.01, le=0.99, description="square: how much of a period is high")
    beep_at: float = Described(0.0, ge=0, le=MAX_SECONDS, description="beep: seconds before the first")
    beep_length: float = Described(1 / 24, gt=0, le=MAX_SECONDS, description="beep: seconds; one frame at 24 fps")
    beep_every: float = Described(0.0, ge=0, le=MAX_SECONDS, description="beep: seconds from one to the next; 0: one beep")
    notes: str | list[float] | None = Described(
        None, description="drone, chord: a chord's name, or semitones above `frequency`; none: major, drone fifth"
    )
    detune: float = Described(6.0, ge=0, le=100, description="drone: cents between the voices of a note")
    wide: bool = Described(True, description="noise, drone: each channel for itself, else all the same")
    seed: Seed = Described(0, description="noise, drone: another number, another sound; up to 2^64-1")

    @model_validator(mode="before")
    @classmethod
    def _by_kind(cls, raw: Any) -> Any:
        """What depends on the kind is written out, so that a recipe says all that it means."""
        if not isinstance(raw, dict):
            return raw
        kind = raw.get("kind", "sine")
        if not isinstance(kind, str):
            return raw
        written = dict(raw)
        if written.get("frequency") is None:
            written["frequency"] = _FREQUENCIES.get(kind, 1000.0)
        if written.get("notes") is None:
            written["notes"] = _NOTES.get(kind, "major")
        return written

    @model_validator(mode="after")
    def _fits(self) -> ToneParams:
        semitones = self.semitones()
        if self.kind == "silence" or self.kind in _NOISE:
            return self
        highest = self.frequency
        if self.kind == "sweep":
            highest = max(highest, self.end_frequency)
        elif self.kind in ("drone", "chord"):
            highest *= _ratio(max(semitones) + (self.detune / 100.0 if self.kind == "drone" else 0.0))
        if highest >= self.sample_rate / 2:
            raise ValueError(f"{highest:g} Hz is not below half of the sample rate, {self.sample_rate / 2:g} Hz")
        if self.kind == "sweep" and self.end_frequency / self.frequency == 1.0:
            raise ValueError("a sweep goes from one frequency to another")
        if self.kind == "beep" and self.beep_every and self.beep_every < self.beep_length:
            raise ValueError("beep_every is the time from one beep to the next, no less than beep_length")
        return self

    def semitones(self) -> list[float]:
        """The notes above `frequency`; ValueError where they are none."""
        if isinstance(self.notes, str):
            if self.notes not in CHORDS:
                raise ValueError(f"{self.notes!r} is not a chord: {', '.join(CHORDS)}")
            return CHORDS[self.notes]
        if not 1 <= len(self.notes) <= MAX_NOTES or any(abs(note) > 96 for note in self.notes):
            raise ValueError(f"notes are from 1 to {MAX_NOTES} numbers of semitones, 96 at most")
        return self.notes

    def frames(self, seconds: float) -> int:
        """Whole samples of a time, halves up."""
        return int(seconds * self.sample_rate + 0.5)


class Tone:
    """The generator. Its version changes whenever a sample would."""

    name = "tone"
    Params = ToneParams
    exact = True
    version = "1"
    suffixes = (".wav", ".flac")

    def models(self, recipe: Any) -> Mapping[str, Mapping[str, str]]:
        return {}

    def environment(self) -> dict[str, str]:
        return {"numpy": np.__version__, "libsndfile": soundfile.__libsndfile_version__}

    def estimate_seconds(self, params: Mapping[str, Any]) -> float:
        """Rounded up from measurements on a slow machine: per sample and channel that is computed."""
        samples = params["duration"] * params["sample_rate"]
        voices = ToneParams.model_validate(dict(params)).semitones()
        each = {"silence": 0.0, "pink": 0.4, "drone": 0.8 * len(voices), "chord": 0.2 * len(voices)}.get(params["kind"], 0.2)
        own = params["channels"] if params["wide"] else 1
        return 0.02 + samples * (each * own + 0.1 * params["channels"]) / 1e6

    def run(self, job: Job) -> None:
        params: ToneParams = job.params
        suffix = os.path.splitext(job.output)[1].lower()
        frames = max(1, params.frames(params.duration))
        _check_format(params, suffix, frames)
        channels = _channels(params, frames)
        pcm = _quantiser(params)
        make = WavWriter if suffix == ".wav" else FlacWriter
        with open(job.output, "xb") as out:
            writer = make(out, params.sample_rate, params.channels, params.depth, frames)
            for start in range(0, frames, BLOCK):
                job.check_cancelled()
                block = pcm(channels, np.arange(start, start + BLOCK, dtype=np.int64))
                writer.write(block[: frames - start])
                job.progress(min(1.0, (start + BLOCK) / frames))
            writer.close()


def _check_format(params: ToneParams, suffix: str, frames: int) -> None:
    if suffix not in (".wav", ".flac"):
        raise InvalidError(f"tone writes .wav and .flac, not {suffix or 'a name without a suffix'}")
    if suffix == ".wav" and frames * params.channels * params.depth // 8 > MAX_WAV_BYTES:
        raise InvalidError(
            "params.duration: a WAV file holds no more than 4 GiB", "name the asset .flac", field="params.duration"
        )


# --- what sounds ----------------------------------------------------------------------------------------------


def _channels(params: ToneParams, frames: int) -> list[Sound]:
    """The sounds that are computed: one for all channels, or one for each. At their level, faded."""
    count = params.channels if params.wide and params.kind in (*_NOISE, "drone") else 1
    gain = decibels(params.level) * (_SQRT_HALF if params.kind in _NOISE else 1.0)
    make = _KINDS.get(params.kind, _plain)
    return [_at_level(make(params, frames, sub_seed(params.seed, channel)), gain) for channel in range(count)]


def _at_level(sound: Sound, gain: float) -> Sound:
    return lambda index: sound(index) * gain


def _plain(params: ToneParams, frames: int, seed: int) -> Sound:
    sound = sounds.wave(params.kind, sounds.steady(params.frequency, params.sample_rate), params.duty)
    return _faded(params, sound, frames)


def _noise(params: ToneParams, frames: int, seed: int) -> Sound:
    if params.kind == "brown":
        return _faded(params, sounds.brown(seed, params.sample_rate), frames)
    return _faded(params, {"white": sounds.white, "pink": sounds.pink}[params.kind](seed), frames)


def _silence(params: ToneParams, frames: int, seed: int) -> Sound:
    return lambda index: np.zeros(len(index))


def _sweep(params: ToneParams, frames: int, seed: int) -> Sound:
    phases = {"log": sounds.octave_sweep, "linear": sounds.linear_sweep}[params.curve]
    swept = phases(params.frequency, params.end_frequency, frames, params.sample_rate)
    return _faded(params, sounds.wave(params.wave, swept, params.duty), frames)


def _beep(params: ToneParams, frames: int, seed: int) -> Sound:
    """Each beep begins at the same phase and has fades of its own, so all are alike to the last bit."""
    tone = sounds.wave(params.wave, sounds.steady(params.frequency, params.sample_rate), params.duty)
    length = max(1, params.frames(params.beep_length))
    first, every = params.frames(params.beep_at), max(length, params.frames(params.beep_every))
    beep = _faded(params, tone, length)

    def sound(index: np.ndarray) -> np.ndarray:
        inside = index - first
        if params.beep_every:
            inside = np.where(inside < 0, inside, inside % every)
        return np.where((inside >= 0) & (inside < length), beep(inside), 0.0)

    return sound


def _chord(params: ToneParams, frames: int, seed: int) -> Sound:
    voices = [_voice(params, semitone) for semitone in params.semitones()]
    return _faded(params, sounds.mixed(voices), frames)


def _drone(params: ToneParams, frames: int, seed: int) -> Sound:
    """Each note three times, a little apart, each voice breathing at its own pace."""
    voices = []
    for note, semitone in enumerate(params.semitones()):
        for number, part in enumerate(_DETUNED):
            own = sub_seed(seed, note, number)
            slow, quick = 1.0 / _BREATHS[0], 1.0 / _BREATHS[1]
            pace = slow + (quick - slow) * float(unit(np.array([sub_seed(own, 0)], dtype=np.uint64))[0])
            voice = _voice(params, semitone + part * params.detune / 100.0, start=sub_seed(own, 1))
            voices.append(sounds.swelling(voice, pace, params.sample_rate, sub_seed(own, 2)))
    return _faded(params, sounds.mixed(voices), frames)


_KINDS: dict[str, Callable[[ToneParams, int, int], Sound]] = {
    "white": _noise,
    "pink": _noise,
    "brown": _noise,
    "silence": _silence,
    "sweep": _sweep,
    "beep": _beep,
    "chord": _chord,
    "drone": _drone,
}


def _voice(params: ToneParams, semitone: float, start: int = 0) -> Sound:
    phases = sounds.steady(params.frequency * _ratio(semitone), params.sample_rate, start)
    return sounds.wave(params.wave, phases, params.duty)


def _ratio(semitones: float) -> float:
    """Equal temperament: 2^(n/12)."""
    return float(exp2(np.array([semitones / 12.0]))[0])


def _faded(params: ToneParams, sound: Sound, frames: int) -> Sound:
    """Silent at the first and the last sample, where there are fades."""
    fade_in, fade_out = params.frames(params.fade_in), params.frames(params.fade_out)

    def faded(index: np.ndarray) -> np.ndarray:
        samples = sound(index)
        if fade_in:
            samples = samples * smooth(clamp(index / fade_in))
        if fade_out:
            samples = samples * smooth(clamp((frames - 1 - index) / fade_out))
        return samples

    return faded


# --- to integers ----------------------------------------------------------------------------------------------


def _quantiser(params: ToneParams) -> Callable[[list[Sound], np.ndarray], np.ndarray]:
    """(sounds, sample numbers) → (n, channels) int32; halves round up, what is beyond the range is clipped."""
    top = float((1 << params.depth - 1) - 1)
    # Digital silence stays silent.
    dithered = params.dither and params.kind != "silence"
    seed = sub_seed(params.seed, MAX_NOTES)

    def pcm(channels: list[Sound], index: np.ndarray) -> np.ndarray:
        block = np.empty((len(index), params.channels), dtype=np.int32)
        for channel in range(params.channels):
            if channel < len(channels):
                values = channels[channel](index) * top
            dither = _dither(index, sub_seed(seed, channel)) if dithered else 0.0
            block[:, channel] = np.minimum(np.maximum(np.floor(values + dither + 0.5), -top - 1.0), top)
        return block

    return pcm


def _dither(index: np.ndarray, seed: int) -> np.ndarray:
    """Two uniform numbers' difference, -1…1: the error no longer depends on the signal."""
    return unit(hash_line(index, sub_seed(seed, 0))) - unit(hash_line(index, sub_seed(seed, 1)))
