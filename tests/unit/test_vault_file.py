"""The vault of a .blend, read without Blender, out of files in each of the shapes that Blender writes, and out of damaged ones.

Real ones, of each Blender, are in tests/addon/inside/test_vault_file.py.
"""

from __future__ import annotations

import gzip
import importlib.util
import os
import struct
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from regen_vcs.engine.export_file import export_bytes
from regen_vcs.engine.vault_file import is_blend, read_vault
from regen_vcs.errors import CorruptionError, InvalidError, NewerFormat, RegenError, UsageError
from regen_vcs.model.export_manifest import build_manifest
from regen_vcs.model.vault import vault_export

ROOT = Path(__file__).resolve().parents[2]
# (first bytes, a block's head from code and size)
SHAPES = {
    "3.4": (b"BLENDER-v304", lambda code, size: struct.pack("<4siQii", code, size, 77, 0, 1)),
    "4.5": (b"BLENDER-v405", lambda code, size: struct.pack("<4siQii", code, size, 77, 0, 1)),
    "5.0": (b"BLENDER17-01v0500", lambda code, size: struct.pack("<4siQqq", code, 0, 77, size, 1)),
    "32 bits": (b"BLENDER_v249", lambda code, size: struct.pack("<4siIii", code, size, 77, 0, 1)),
    "big-endian": (b"BLENDER-V279", lambda code, size: struct.pack(">4siQii", code, size, 77, 0, 1)),
}


def encode(export: bytes) -> str:
    """What the addon writes."""
    spec = importlib.util.spec_from_file_location("addon_vault", ROOT / "blender_addon" / "vault.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.encode(export)


def an_export(count: int = 40) -> bytes:
    sidecars = {f"shots/{number:03}.png": b'{"regen": 1, "params": {"seed": "%s"}}' % os.urandom(20).hex().encode() for number in range(count)}
    manifest, objects = build_manifest(project=None, files={}, sidecars=sidecars, documents={}, refs={})
    return export_bytes(manifest, objects)


def blend(shape: str, *blocks: bytes) -> bytes:
    start, head = SHAPES[shape]
    out = [start]
    for data in (b"GLOB" * 5, *blocks):
        padded = data if shape in ("4.5", "5.0") else data + b"\0" * (-len(data) % 4)
        out += [head(b"DATA", len(padded)), padded]
    return b"".join([*out, head(b"ENDB", 0)])


def as_property(text: str) -> bytes:
    return text.encode() + b"\0"


def as_lines(text: str) -> list[bytes]:
    return [line.encode() + b"\0" for line in text.split("\n")]


@pytest.fixture
def export():
    return an_export()


@pytest.fixture
def written(tmp_path):
    def write(data: bytes, name: str = "film.blend") -> str:
        path = tmp_path / name
        path.write_bytes(data)
        return str(path)

    return write


@pytest.mark.parametrize("packed", ["plain", "gzip", "zstd", "zstd frames"])
@pytest.mark.parametrize("shape", SHAPES)
def test_either_copy_in_every_shape(export, written, shape, packed):
    text = encode(export)
    for blocks in ([as_property(text)], as_lines(text), [*as_lines(text), b"between", as_property(text)]):
        data = blend(shape, *blocks, b"after")
        if packed == "gzip":
            data = gzip.compress(data)
        elif packed == "zstd":
            data = zstandard.compress(data)
        elif packed == "zstd frames":  # as Blender writes: frames one after another, and a table that is skipped
            half = len(data) // 2
            table = b"\x5e\x2a\x4d\x18" + (8).to_bytes(4, "little") + b"12345678"
            data = zstandard.compress(data[:half]) + zstandard.compress(data[half:]) + table
        found = read_vault(written(data))
        assert found.damaged == []
        assert dict(found.export.manifest.sidecars).keys() == {f"shots/{number:03}.png" for number in range(40)}


@pytest.mark.parametrize("which", ["text", "scene"])
def test_of_two_copies_one_may_be_damaged(export, written, which):
    text = encode(export)
    wrong = text[:200] + ("A" if text[200] != "A" else "B") + text[201:]
    lines, whole = (wrong, text) if which == "text" else (text, wrong)
    found = read_vault(written(blend("4.5", *as_lines(lines), as_property(whole))))
    assert len(found.damaged) == 1 and which in found.damaged[0]
    assert len(found.export.manifest.sidecars) == 40
    with pytest.raises(CorruptionError, match="damaged"):
        read_vault(written(blend("4.5", *as_lines(wrong), as_property(wrong))))


def test_a_damaged_length_hides_nothing(export, written):
    """Whatever the block before the vault says of its size."""
    text = encode(export)
    data = bytearray(blend("4.5", *as_lines(text), as_property(text)))
    data[16:20] = b"\xff\xff\xff\x7f"
    assert read_vault(written(bytes(data))).damaged == []


def test_other_line_ends(export):
    text = encode(export)
    assert vault_export(text.replace("\n", "\r\n").encode(), "x") == vault_export(text.encode(), "x") == export


@pytest.mark.parametrize("data, error, words", [
    (b"", InvalidError, "is not a .blend"),
    (b"BLEND", InvalidError, "is not a .blend"),
    (b"BLENDER-v304", InvalidError, "has no vault"),
    (gzip.compress(b"BLENDER-v304" * 100, mtime=0)[:-20], CorruptionError, "damaged"),
    (zstandard.compress(b"BLENDER-v304" + os.urandom(5000))[:-20], InvalidError, "has no vault"),
    (b"\x28\xb5\x2f\xfd" + b"\xff" * 100, CorruptionError, "damaged"),
    (blend("4.5", b"regen-vcs-vault 7 zlib 3 " + b"0" * 64 + b"\nabc\n\0"), NewerFormat, "newer"),
    (blend("4.5", b"regen-vcs-vault 1 zlib 99999999 " + b"0" * 64 + b"\nabc\n\0"), CorruptionError, "more than a vault may"),
    (blend("4.5", b"regen-vcs-vault 1 stored 3 " + b"0" * 64 + b"\nabcd\n\0"), CorruptionError, "damaged"),
], ids=["empty", "short", "no block", "cut gzip", "cut zstd", "broken zstd", "newer", "too large", "another digest"])  # fmt: skip
def test_what_is_no_vault(written, data, error, words):
    with pytest.raises(error, match=words):
        read_vault(written(data))


def test_words_about_vaults_are_none(export, written):
    """A text or a prompt may speak of them."""
    found = read_vault(written(blend("4.5", b"see regen-vcs-vault for what it is\0", as_property(encode(export)))))
    assert found.damaged == []


def test_a_bomb_is_not_unpacked(written):
    packer = zstandard.ZstdCompressor(level=3).compressobj()
    data = packer.compress(b"BLENDER-v405") + b"".join(packer.compress(bytes(1 << 24)) for _ in range(80)) + packer.flush()
    with pytest.raises(InvalidError, match="far more"):
        read_vault(written(data))


def test_what_is_called_so(written, tmp_path):
    assert is_blend(written(b"x")) and not is_blend(str(tmp_path / "gone.blend")) and not is_blend(str(tmp_path))
    assert is_blend(written(b"BLENDER-v405....", "odd.name")) and not is_blend(written(b"x", "notes.txt"))
    with pytest.raises(UsageError):
        read_vault(str(tmp_path / "gone.blend"))


_TEXT = encode(an_export(3))
_WHOLE = blend("4.5", *as_lines(_TEXT), as_property(_TEXT))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(_WHOLE) - 1), st.integers(0, 255)), max_size=6), st.integers(0, len(_WHOLE)))
def test_any_damage_is_told_or_harmless(tmp_path_factory, flips, cut):
    data = bytearray(_WHOLE)
    for at, value in flips:
        data[at] = value
    path = tmp_path_factory.getbasetemp() / "damaged.blend"
    path.write_bytes(data if cut % 3 else data[:cut])
    try:
        found = read_vault(str(path))
    except RegenError:
        return
    assert len(found.export.manifest.sidecars) == 3
