"""tone: in tune, at its level, the noises of the right colour, and the same samples in WAV and FLAC."""

from __future__ import annotations

import threading
import tracemalloc

import numpy as np
import pytest
import soundfile

from regen_vcs import media
from regen_vcs.errors import Interrupted, InvalidError
from regen_vcs.generators import registry
from regen_vcs.generators.base import Job

TONE = registry.load("tone")
KINDS = registry.params_schema(TONE)["properties"]["kind"]["enum"]


def make(tmp_path, name="out.wav", **params):
    raw = registry.complete_params(TONE, params)
    output = tmp_path / name
    TONE.run(Job(registry.typed_params(TONE, raw), raw, {}, str(output), str(tmp_path)))
    return str(output)


def samples(path):
    """((n,) or (n, channels) float64 in -1…1, sample rate)."""
    return soundfile.read(path, dtype="float64")


def power(values, rate):
    """(Hz, power): the mean over windows of 8192 samples."""
    windows = values[: len(values) // 8192 * 8192].reshape(-1, 8192) * np.hanning(8192)
    return np.fft.rfftfreq(8192, 1 / rate), (np.abs(np.fft.rfft(windows, axis=1)) ** 2).mean(axis=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_every_kind_sounds(tmp_path, kind, suffix):
    values, rate = samples(make(tmp_path, f"a{suffix}", kind=kind, duration=0.25, channels=2))
    assert rate == 48000
    assert values.shape == (12000, 2)
    assert (np.abs(values).max() > 0) == (kind != "silence")


@pytest.mark.parametrize("depth", [16, 24])
def test_wav_and_flac_hold_the_same_samples(tmp_path, depth):
    params = {"kind": "pink", "duration": 1.5, "channels": 3, "depth": depth}
    wav, flac = make(tmp_path, "a.wav", **params), make(tmp_path, "a.flac", **params)
    assert media.content_hash(wav) == media.content_hash(flac)
    assert np.array_equal(samples(wav)[0], samples(flac)[0])


@pytest.mark.parametrize(("depth", "channels", "frames"), [(16, 1, 1), (24, 1, 3), (24, 3, 1), (16, 8, 7)])
def test_the_wav_header_is_right_also_for_odd_sizes(tmp_path, depth, channels, frames):
    path = make(tmp_path, duration=frames / 8000, sample_rate=8000, channels=channels, depth=depth)
    told = soundfile.info(path)
    assert (told.frames, told.channels, told.subtype) == (frames, channels, f"PCM_{depth}")
    size = (tmp_path / "out.wav").stat().st_size
    assert size % 2 == 0
    assert int.from_bytes((tmp_path / "out.wav").read_bytes()[4:8], "little") == size - 8


@pytest.mark.parametrize("kind", ["sine", "square", "saw", "triangle"])
@pytest.mark.parametrize("frequency", [55.0, 440.0, 3951.07])
def test_tones_are_in_tune_and_at_their_level(tmp_path, kind, frequency):
    values, rate = samples(make(tmp_path, kind=kind, frequency=frequency, duration=2, level=-6, fade_in=0, fade_out=0))
    spectrum = np.abs(np.fft.rfft(values * np.hanning(len(values))))
    assert abs(np.argmax(spectrum) / 2 - frequency) <= 0.5
    if kind == "sine":
        assert 20 * np.log10(np.abs(values).max()) == pytest.approx(-6, abs=0.01)
    assert abs(values.mean()) < 0.01
    assert rate == 48000


def test_a_tone_is_still_in_tune_after_a_long_time(tmp_path):
    """The last second of ten minutes, against the sine it should be."""
    values, rate = samples(make(tmp_path, duration=600, frequency=997.3, sample_rate=8000, level=0, fade_in=0, fade_out=0))
    index = np.arange(len(values) - rate, len(values))
    assert np.abs(values[-rate:] - np.sin(2 * np.pi * 997.3 * index / rate)).max() < 1e-6


@pytest.mark.parametrize(("kind", "slope"), [("white", 0), ("pink", -3.01), ("brown", -6.02)])
def test_noises_have_their_colour_and_level(tmp_path, kind, slope):
    values, rate = samples(make(tmp_path, kind=kind, duration=60, seed=4, level=-20))
    hertz, level = power(values, rate)
    octaves = [(low, 2 * low) for low in (125, 250, 500, 1000, 2000, 4000)]
    decibels = [10 * np.log10(level[(hertz >= low) & (hertz < high)].mean()) for low, high in octaves]
    assert np.polyfit(range(len(octaves)), decibels, 1)[0] == pytest.approx(slope, abs=0.25)
    # The RMS of a full sine is 3.01 dB under its peak, and that is 0.
    assert 20 * np.log10(np.sqrt((values**2).mean())) == pytest.approx(-23.01, abs=0.5)


def test_wide_noise_differs_between_channels_and_seeds(tmp_path):
    wide, _ = samples(make(tmp_path, "a.wav", kind="white", channels=2, duration=1))
    narrow, _ = samples(make(tmp_path, "b.wav", kind="white", channels=2, duration=1, wide=False))
    other, _ = samples(make(tmp_path, "c.wav", kind="white", channels=2, duration=1, seed="18446744073709551615"))
    assert abs(np.corrcoef(wide.T)[0, 1]) < 0.02
    assert np.array_equal(narrow[:, 0], narrow[:, 1])
    assert not np.array_equal(wide, other)


def test_blocks_cannot_be_heard(tmp_path):
    """Across the seam of two blocks nothing jumps further than elsewhere."""
    for kind in ("sine", "pink", "brown", "sweep", "drone"):
        values, _ = samples(make(tmp_path, f"{kind}.wav", kind=kind, duration=3, fade_in=0, fade_out=0))
        jumps = np.abs(np.diff(values))
        assert jumps[65535] <= jumps.max()
        assert jumps[65530:65540].max() <= np.quantile(jumps, 0.9999)


def test_fades_begin_and_end_in_silence(tmp_path):
    values, rate = samples(make(tmp_path, kind="white", duration=1, level=0, fade_in=0.25, fade_out=0.5))
    assert values[0] == 0
    assert values[-1] == 0
    loudness = [np.sqrt((part**2).mean()) for part in np.split(values, 8)]
    assert loudness[0] < loudness[1] < loudness[2]
    assert loudness[3] > loudness[5] > loudness[7]
    assert rate == 48000


def test_beeps_are_where_they_should_be_and_all_alike(tmp_path):
    values, rate = samples(make(tmp_path, kind="beep", duration=4, beep_at=0.5, beep_every=1, beep_length=1 / 24, level=-20))
    length = rate // 24
    for second in range(4):
        start = second * rate + rate // 2
        assert np.array_equal(values[start : start + length], values[rate // 2 : rate // 2 + length])
        assert not values[start + length : start + rate].any()
    assert not values[: rate // 2].any()
    assert np.abs(values).max() == pytest.approx(0.1, abs=0.001)


@pytest.mark.parametrize("curve", ["log", "linear"])
def test_a_sweep_goes_where_it_says(tmp_path, curve):
    values, rate = samples(make(tmp_path, kind="sweep", curve=curve, frequency=100, end_frequency=6400, duration=6))
    middle = values[3 * rate - 2400 : 3 * rate + 2400]
    crossings = np.count_nonzero(np.diff(np.signbit(middle))) / 2 / (len(middle) / rate)
    assert crossings == pytest.approx({"log": 800, "linear": 3250}[curve], rel=0.02)


def test_a_sweep_over_next_to_nothing_is_a_tone(tmp_path):
    """2^x - 1 near 0 must not cancel: the phase would jitter."""
    params = {"duration": 30, "sample_rate": 8000, "fade_in": 0, "fade_out": 0, "level": 0}
    swept, rate = samples(make(tmp_path, "a.wav", kind="sweep", frequency=1000, end_frequency=1000.0000001, **params))
    plain, _ = samples(make(tmp_path, "b.wav", frequency=1000.00000005, **params))
    assert rate == 8000
    assert np.abs(swept - plain).max() < 1e-5


def test_a_chord_has_its_notes(tmp_path):
    values, _ = samples(make(tmp_path, kind="chord", frequency=220, notes="minor", duration=4))
    spectrum = np.abs(np.fft.rfft(values * np.hanning(len(values))))
    for semitone in (0, 3, 7):
        at = round(220 * 2 ** (semitone / 12) * 4)
        assert spectrum[at - 2 : at + 3].max() > 100 * np.median(spectrum)


def test_silence_is_digital_even_with_dither(tmp_path):
    values, _ = samples(make(tmp_path, kind="silence", dither=True, depth=16, duration=0.5))
    assert not values.any()


def test_nothing_clips_at_full_level(tmp_path):
    for kind in set(KINDS) - {"white", "pink", "brown"}:
        values, _ = samples(make(tmp_path, f"{kind}.wav", kind=kind, duration=0.5, level=0, depth=16))
        assert np.count_nonzero(np.abs(values) >= 1) == 0


def test_memory_does_not_grow_with_the_duration(tmp_path):
    tracemalloc.start()
    make(tmp_path, kind="pink", duration=60)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 << 20


def test_defaults_that_depend_on_the_kind_are_written_out():
    assert registry.complete_params(TONE, {})["frequency"] == 1000
    assert registry.complete_params(TONE, {"kind": "drone"})["frequency"] == 55
    assert registry.complete_params(TONE, {"kind": "drone"})["notes"] == "fifth"
    assert None not in registry.complete_params(TONE, {}).values()


def test_progress_and_cancel(tmp_path):
    raw = registry.complete_params(TONE, {"duration": 5})
    params = registry.typed_params(TONE, raw)
    seen, stop = [], threading.Event()
    TONE.run(Job(params, raw, {}, str(tmp_path / "a.wav"), "", on_progress=lambda f, m: seen.append(f)))
    assert seen[-1] == 1.0
    stop.set()
    with pytest.raises(Interrupted):
        TONE.run(Job(params, raw, {}, str(tmp_path / "b.wav"), "", cancel_requested=stop.is_set))


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"duration": 0}, "params.duration"),
        ({"duration": 3601}, "params.duration"),
        ({"duration": float("nan")}, "params.duration"),
        ({"duration": "1"}, "params.duration"),
        ({"sample_rate": 0}, "params.sample_rate"),
        ({"sample_rate": 10**9}, "params.sample_rate"),
        ({"channels": 0}, "params.channels"),
        ({"channels": 9}, "params.channels"),
        ({"depth": 32}, "params.depth"),
        ({"level": 1}, "params.level"),
        ({"kind": "sin"}, "params.kind"),
        ({"kind": ["sine"]}, "params.kind"),
        ({"kind": 3}, "params.kind"),
        ({"frequency": -1}, "params.frequency"),
        ({"kind": "sweep", "frequency": 5e-324}, "params.frequency"),
        ({"kind": "drone", "frequency": 3999, "sample_rate": 8000, "notes": "unison"}, "params"),
        ({"seed": -1}, "params.seed"),
        ({"frequency": 24000}, "params"),
        ({"kind": "chord", "notes": "nosuch"}, "params"),
        ({"kind": "chord", "notes": []}, "params"),
        ({"kind": "chord", "notes": [1000]}, "params"),
        ({"kind": "chord", "notes": ["a"]}, "params"),
        ({"kind": "sweep", "frequency": 50, "end_frequency": 50}, "params"),
        ({"kind": "beep", "beep_every": 0.01, "beep_length": 1}, "params"),
        ({"freq": 1}, "params.freq"),
    ],
    ids=str,
)
def test_hostile_params_name_their_field(params, field):
    with pytest.raises(InvalidError) as caught:
        registry.complete_params(TONE, params)
    assert caught.value.field.startswith(field)


@pytest.mark.parametrize(("name", "said"), [("a.mp3", "writes .wav and .flac"), ("a", "without a suffix")])
def test_formats_that_cannot_be(tmp_path, name, said):
    with pytest.raises(InvalidError, match=said):
        make(tmp_path, name)


def test_a_wav_of_more_than_4_gib_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InvalidError, match="4 GiB"):
        make(tmp_path, duration=3600, sample_rate=192000, channels=8, depth=24)
    assert list(tmp_path.iterdir()) == []
