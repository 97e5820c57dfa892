"""Files with texts embedded in them, built byte by byte as the programs that make media write them."""

from __future__ import annotations

import json
import struct
import zlib

GRAPH = {
    "3": {"class_type": "KSampler", "inputs": {
        "seed": 18446744073709551557, "steps": 20, "cfg": 7.5, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
        "model": ["10", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0]}},
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd_xl_base_1.0.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 1024, "height": 576, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "rain on glass", "clip": ["4", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["4", 1]}},
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "shot"}},
    "10": {"class_type": "LoraLoader", "inputs": {
        "lora_name": "ink.safetensors", "strength_model": 0.8, "strength_clip": 1.0, "model": ["4", 0], "clip": ["4", 1]}},
}  # fmt: skip
WORKFLOW = {"nodes": [{"id": 3, "type": "KSampler"}], "links": []}
INFOTEXT = (
    'a café at dusk, "quoted", <lora:ink:0.8>\nsecond line: of the prompt\nNegative prompt: blurry,\nlow quality\n'
    'Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 4294967297, Size: 512x768, '
    'Model hash: 31e35c80fc, Model: sd_xl_base_1.0, Clip skip: 2, '
    'ControlNet 0: "Module: canny, Model: control_v11 [d14c016b], Weight: 1", Lora hashes: "ink: abcdef123456", '
    'Hashes: {"vae": "63aeecb90f", "model": "31e35c80fc"}, Version: v1.9.4'
)


def texts_of_comfyui() -> dict[str, str]:
    return {"prompt": json.dumps(GRAPH), "workflow": json.dumps(WORKFLOW)}


# ---------------------------------------------------------------- PNG


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks: bytes, after: tuple[bytes, ...] = (), size: int = 4) -> bytes:
    """A small grey picture with chunks before its pixels, and after them."""
    header = struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0)
    pixels = zlib.compress((b"\0" + b"\x80" * size) * size)
    return b"".join((b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), *chunks, chunk(b"IDAT", pixels), *after, chunk(b"IEND", b"")))


def text_chunk(key: str, text: str) -> bytes:
    return chunk(b"tEXt", key.encode("latin-1") + b"\0" + text.encode("latin-1"))


def packed_chunk(key: str, text: str) -> bytes:
    return chunk(b"zTXt", key.encode("latin-1") + b"\0\0" + zlib.compress(text.encode("latin-1")))


def international_chunk(key: str, text: str, *, packed: bool = False) -> bytes:
    data = zlib.compress(text.encode()) if packed else text.encode()
    return chunk(b"iTXt", key.encode() + bytes((0, packed, 0)) + b"en\0" + b"\0" + data)


# ---------------------------------------------------------------- EXIF, in WebP and JPEG


def exif(*, order: str = "<", comment: bytes | None = None, **tags: str) -> bytes:
    """A TIFF structure; comment: the raw UserComment. tags: Make, Model, ImageDescription."""
    numbers = {"ImageDescription": 0x010E, "Make": 0x010F, "Model": 0x0110}
    entries = [(numbers[name], 2, text.encode() + b"\0") for name, text in sorted(tags.items(), key=lambda each: numbers[each[0]])]
    folder_size = 2 + 12 * (len(entries) + (comment is not None)) + 4
    at = 8 + folder_size
    body, heap = b"", b""
    for tag, kind, data in entries:
        body += struct.pack(order + "HHII", tag, kind, len(data), at + len(heap))
        heap += data
    count = len(entries)
    if comment is not None:
        count += 1
        inner = at + len(heap)
        body += struct.pack(order + "HHII", 0x8769, 4, 1, inner)
        heap += struct.pack(order + "H", 1) + struct.pack(order + "HHII", 0x9286, 7, len(comment), inner + 18)
        heap += struct.pack(order + "I", 0) + comment
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(order + "I", 8) + struct.pack(order + "H", count) + body + struct.pack(order + "I", 0) + heap


def webp(*, exif_data: bytes = b"", xmp: bytes = b"") -> bytes:
    parts = b"VP8X" + struct.pack("<I", 10) + b"\0" * 10
    for kind, data in ((b"EXIF", exif_data), (b"XMP ", xmp)):
        if data:
            parts += kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) & 1)
    return b"RIFF" + struct.pack("<I", 4 + len(parts)) + b"WEBP" + parts


def jpeg(*segments: tuple[int, bytes]) -> bytes:
    """segments: (marker's second byte, content)."""
    body = b"".join(bytes((0xFF, mark)) + struct.pack(">H", len(data) + 2) + data for mark, data in segments)
    return b"\xff\xd8" + body + b"\xff\xda\0\x02" + b"\xff\xd9"


# ---------------------------------------------------------------- films and sounds


def box(kind: bytes, *parts: bytes) -> bytes:
    data = b"".join(parts)
    return struct.pack(">I", 8 + len(data)) + kind + data


def mp4(texts: dict[str, str], *, quicktime: bool = False) -> bytes:
    """A film without a picture: keys and values in moov/udta/meta, as FFmpeg writes them (or moov/meta, as QuickTime)."""
    keys = b"".join(struct.pack(">I", 8 + len(key)) + b"mdta" + key.encode() for key in texts)
    values = b"".join(
        struct.pack(">II", 24 + len(text.encode()), number) + struct.pack(">I4sII", 16 + len(text.encode()), b"data", 1, 0) + text.encode()
        for number, text in enumerate(texts.values(), 1)
    )
    handler = box(b"hdlr", b"\0" * 8 + b"mdta" + b"\0" * 13)
    inner = (handler, box(b"keys", struct.pack(">II", 0, len(texts)), keys), box(b"ilst", values))
    meta = box(b"meta", *inner) if quicktime else box(b"udta", box(b"meta", b"\0\0\0\0", *inner))
    brand = b"qt  " if quicktime else b"isom"
    return box(b"ftyp", brand, b"\0\0\2\0", brand) + box(b"mdat", b"\0" * 64) + box(b"moov", meta)


def element(name: int, data: bytes) -> bytes:
    size = len(name.to_bytes((name.bit_length() + 7) // 8, "big"))
    return name.to_bytes(size, "big") + (len(data) | 1 << 56).to_bytes(8, "big") + data


def matroska(texts: dict[str, str], *, tags_first: bool = False) -> bytes:
    simple = b"".join(element(0x67C8, element(0x45A3, key.encode()) + element(0x4487, text.encode())) for key, text in texts.items())
    tags = element(0x1254C367, element(0x7373, element(0x63C0, b"") + simple))
    cluster = element(0x1F43B675, b"\0" * 100)
    segment = element(0x18538067, tags + cluster if tags_first else cluster + tags)
    return element(0x1A45DFA3, element(0x4282, b"webm")) + segment


def comments(texts: dict[str, str]) -> bytes:
    parts = [f"{key}={text}".encode() for key, text in texts.items()]
    return struct.pack("<I", 4) + b"test" + struct.pack("<I", len(parts)) + b"".join(struct.pack("<I", len(each)) + each for each in parts)


def flac(texts: dict[str, str]) -> bytes:
    data = comments(texts)
    return b"fLaC" + b"\0\0\0\x22" + b"\0" * 34 + b"\x84" + len(data).to_bytes(3, "big") + data


def ogg(texts: dict[str, str]) -> bytes:
    """Opus: its head in one page, its tags in as many as they take."""
    return _page(b"OpusHead" + b"\0" * 11) + b"".join(_pages(b"OpusTags" + comments(texts)))


def _pages(packet: bytes) -> list[bytes]:
    pieces = [packet[at : at + 255] for at in range(0, len(packet), 255)]
    if len(packet) % 255 == 0:
        pieces.append(b"")
    return [_page_of(pieces[at : at + 255]) for at in range(0, len(pieces), 255)]


def _page(packet: bytes) -> bytes:
    return _page_of([packet])


def _page_of(pieces: list[bytes]) -> bytes:
    return b"OggS" + b"\0" * 22 + bytes([len(pieces)]) + bytes(map(len, pieces)) + b"".join(pieces)


def mp3(texts: dict[str, str]) -> bytes:
    frames = b""
    for key, text in texts.items():
        data = b"\x03" + key.encode() + b"\0" + text.encode()
        frames += b"TXXX" + _syncsafe(len(data)) + b"\0\0" + data
    return b"ID3\x04\0\0" + _syncsafe(len(frames)) + frames


def _syncsafe(number: int) -> bytes:
    return bytes(number >> 7 * place & 0x7F for place in (3, 2, 1, 0))
