"""Our transfers beside the plain store client's, on the same server, in the same minutes. To reach: 0.9 of its throughput.

    python benchmarks/transfer.py [--files 2000] [--large 4] [--megabytes 64] [--repeat 5] [--json FILE]

Small files (32 KiB) and large ones, of noise, in 16 threads, up and down, against `rclone serve s3`, moto, nginx with
WebDAV (where it is installed) and a folder. The plain client is obstore without retries or checks; for a folder it is
a copy that is flushed. Ours hashes what arrives, and keeps no half upload visible. The
clients take turns, another one first each time; the best of each counts, since what disturbs a run only slows it.

A second table: what compression makes of media that gain by it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
import time
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import obstore
from blake3 import blake3
from obstore.store import HTTPStore, S3Store

from regen_vcs.remote.base import Remote
from regen_vcs.remote.opening import open_remote
from tests.remote_servers import servers

THREADS = 16
SMALL = 32 << 10
TARGET = 0.9

Line = namedtuple("Line", ("server", "work", "plain", "ours", "unit"))


class Ours:
    """Our remote. A blob is (hash, path)."""

    def __init__(self, url: str, environ: dict[str, str]):
        self._store = open_remote(Remote("bench", url), environ, patience=60)
        self._store.establish()

    def put(self, blob: tuple[str, str]) -> None:
        with open(blob[1], "rb") as file:
            self._store.put_object(blob[0], file, os.path.getsize(blob[1]))

    def get(self, blob: tuple[str, str]) -> int:
        return sum(map(len, self._store.open_object(blob[0])))


class Plain:
    """The client by itself."""

    def __init__(self, store, *, in_parts: bool = True):
        self._store, self._in_parts = store, in_parts

    def put(self, blob: tuple[str, str]) -> None:
        parts = {} if self._in_parts else {"use_multipart": False}
        with open(blob[1], "rb") as file:
            obstore.put(self._store, f"objects/{blob[0][:2]}/{blob[0][2:]}", file, **parts)

    def get(self, blob: tuple[str, str]) -> int:
        return sum(map(len, obstore.get(self._store, f"objects/{blob[0][:2]}/{blob[0][2:]}").stream()))


class Copy:
    """A folder, by hand: each file is flushed, and hashed when it is read."""

    def __init__(self, folder: Path):
        self._folder = folder

    def put(self, blob: tuple[str, str]) -> None:
        target = self._folder / blob[0][:2] / blob[0][2:]
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(blob[1], "rb") as source, open(f"{target}.tmp", "wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{target}.tmp", target)
        fd = os.open(target.parent, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)

    def get(self, blob: tuple[str, str]) -> int:
        hasher = blake3()
        with open(self._folder / blob[0][:2] / blob[0][2:], "rb") as file:
            while chunk := file.read(1 << 20):
                hasher.update(chunk)
        assert hasher.hexdigest() == blob[0]
        return os.path.getsize(file.name)


def write_noise(folder: Path, count: int, size: int) -> list[tuple[str, str]]:
    blobs = []
    for number in range(count):
        data = os.urandom(size)
        path = folder / f"{size}-{number}"
        path.write_bytes(data)
        blobs.append((blake3(data).hexdigest(), str(path)))
    return blobs


def seconds_for(work, blobs, threads: int) -> float:
    with ThreadPoolExecutor(threads) as pool:
        start = time.perf_counter()
        list(pool.map(work, blobs))
        return time.perf_counter() - start


def clients(stack: contextlib.ExitStack, base: Path):
    """(server, plain client, ours)."""
    for name, start in (("rclone s3", servers.rclone), ("moto s3", servers.moto)):
        folder = base / name.replace(" ", "-")
        folder.mkdir()
        server = stack.enter_context(start(folder))
        plain = S3Store(servers.BUCKET, prefix="plain", endpoint=server.base, access_key_id=servers.ACCESS_KEY, secret_access_key=servers.SECRET_KEY,
                        region="us-east-1", client_options={"allow_http": True, "timeout": timedelta(minutes=5)})
        yield name, Plain(plain), Ours(servers.s3_url(server.base, "ours"), server.environ)
    if servers.nginx_program():
        folder = base / "dav"
        folder.mkdir()
        server = stack.enter_context(servers.nginx(folder))
        plain = HTTPStore.from_url(f"{server.base}/plain-client", client_options={"allow_http": True, "timeout": timedelta(minutes=5)})
        yield "nginx dav", Plain(plain, in_parts=False), Ours(f"{server.base}/ours", server.environ)
    yield "folder", Copy(base / "copies"), Ours(f"file://{base}/folder", {})


def measure(server: str, plain, ours, small, large, repeat: int) -> list[Line]:
    lines = []
    for blobs, unit in ((small, "files/s"), (large, "MB/s")):
        amount = len(blobs) if unit == "files/s" else sum(os.path.getsize(path) for _, path in blobs) / 1e6
        threads = THREADS if unit == "files/s" else min(THREADS, len(blobs))
        for direction in ("put", "get"):
            taken: dict[str, list[float]] = {"plain": [], "ours": []}
            for turn in range(repeat):
                order = (("plain", plain), ("ours", ours))
                for name, client in order if turn % 2 == 0 else order[::-1]:
                    taken[name].append(amount / seconds_for(getattr(client, direction), blobs, threads))
            lines.append(Line(server, f"{direction} {unit}", max(taken["plain"]), max(taken["ours"]), unit))
            show(lines[-1])
    return lines


def show(line: Line) -> None:
    ratio = line.ours / line.plain
    print(f"{line.server:10} {line.work:12} plain {line.plain:8.0f}  ours {line.ours:8.0f}  {ratio:5.2f} ×  {'yes' if ratio >= TARGET else 'no'}", flush=True)


def measure_compression(base: Path) -> dict[str, float]:
    """{kind: bytes in the remote for each byte of it}."""
    import numpy
    import soundfile
    from OpenEXR import NO_COMPRESSION, ZIP_COMPRESSION, File, scanlineimage
    from PIL import Image

    rng = numpy.random.default_rng(1)
    y, x = numpy.mgrid[0:1080, 0:1920]
    grey = 0.5 + 0.3 * numpy.sin(x / 97) + 0.15 * numpy.cos(y / 53) + rng.normal(0, 0.01, (1080, 1920))
    rgb = numpy.stack([grey, numpy.roll(grey, 50, 1), numpy.roll(grey, 90, 0)], -1)
    t = numpy.arange(48000 * 10) / 48000
    tones = sum(0.2 / k * numpy.sin(2 * numpy.pi * 110 * k * 1.003**k * t + 3 * numpy.sin(2 * numpy.pi * (4 + k / 7) * t)) for k in range(1, 12))
    left = 0.5 * tones + rng.normal(0, 0.004, t.size)
    sound = numpy.stack([left, numpy.roll(left, 31) + rng.normal(0, 0.002, t.size)], 1)

    def exr(compression, kind) -> bytes:
        path = str(base / "a.exr")
        File({"compression": compression, "type": scanlineimage}, {"RGB": rgb.astype(kind)}).write(path)
        return Path(path).read_bytes()

    def wav(subtype: str) -> bytes:
        buffer = io.BytesIO()
        soundfile.write(buffer, sound, 48000, format="WAV", subtype=subtype)
        return buffer.getvalue()

    png = io.BytesIO()
    Image.fromarray((rgb.clip(0, 1) * 255).astype("uint8")).save(png, "PNG")
    graph = json.dumps([{"id": n, "inputs": {"seed": int(rng.integers(1 << 40)), "text": "rain on glass"}} for n in range(20000)], indent=1)
    media = {
        "EXR half, uncompressed": exr(NO_COMPRESSION, "float16"), "EXR float, uncompressed": exr(NO_COMPRESSION, "float32"),
        "EXR half, zip": exr(ZIP_COMPRESSION, "float16"), "WAV 16 bit stereo": wav("PCM_16"), "WAV 24 bit stereo": wav("PCM_24"),
        "WAV float stereo": wav("FLOAT"), "PNG": png.getvalue(), "JSON": graph.encode(),
    }
    store = open_remote(Remote("bench", "memory://compression"), {}, patience=5)
    shares = {}
    for kind, data in media.items():
        start = time.perf_counter()
        sent = store.put_object(blake3(data).hexdigest(), io.BytesIO(data), len(data))
        shares[kind] = sent / len(data)
        print(f"{kind:24} {len(data) / 1e6:6.1f} MB  → {100 * shares[kind]:5.1f} %   {len(data) / 1e6 / (time.perf_counter() - start):6.0f} MB/s", flush=True)
    return shares


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--large", type=int, default=4)
    parser.add_argument("--megabytes", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="regen-transfer-") as folder, contextlib.ExitStack() as stack:
        base = Path(folder)
        small = write_noise(base, options.files, SMALL)
        large = write_noise(base, options.large, options.megabytes * 1_000_000)
        lines = []
        for server, plain, ours in clients(stack, base):
            lines += measure(server, plain, ours, small, large, options.repeat)
        shares = measure_compression(base)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"transfer": [line._asdict() for line in lines], "compression": shares}, file, indent=1)


if __name__ == "__main__":
    main()
