"""A generator of landscapes for films that tests make: `paint.py OUTPUT PROMPT [MOOD [SECONDS [PLATE]]]`, copied into their projects.

Colours and hills follow the prompt and the bytes of the plate; chance, where the mood is "moody" or the prompt asks for a surprise. It
takes as long as it is told. A "broken" one fails.
"""

import hashlib
import math
import pathlib
import random
import struct
import sys
import time
import zlib

WIDTH, HEIGHT = 160, 90


def landscape(chance: random.Random):
    """Rows of RGB bytes: a sky, a sun or a moon, three ranges of hills."""
    top, low, sun, land = ([chance.randrange(low, high) for _ in range(3)] for low, high in ((0, 130), (90, 256), (200, 256), (0, 110)))
    x_of_sun, y_of_sun, radius = chance.uniform(20, 140), chance.uniform(12, 50), chance.uniform(5, 11)
    ranges = [[(chance.uniform(3, 9), chance.uniform(0.02, 0.11), chance.uniform(0, 6)) for _ in range(3)] for _ in range(3)]
    ridges = [[46 + 13 * number + sum(high * math.sin(x * wave + phase) for high, wave, phase in waves) for x in range(WIDTH)] for number, waves in enumerate(ranges)]
    for y in range(HEIGHT):
        sky = [(a * (HEIGHT - y) + b * y) // HEIGHT for a, b in zip(top, low, strict=True)]
        row = bytearray()
        for x in range(WIDTH):
            here = next((number for number in (2, 1, 0) if y >= ridges[number][x]), None)
            if here is not None:
                row += bytes((a * (3 - here) + b * (here + 2)) // 5 // (1 + here // 2) for a, b in zip(low, land, strict=True))
            else:
                row += bytes(sun if math.hypot(x - x_of_sun, y - y_of_sun) < radius else sky)
        yield row


def png(rows) -> bytes:
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    picture = zlib.compress(b"".join(b"\0" + row for row in rows))
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", picture) + chunk(b"IEND", b"")


def main(target, prompt, mood="calm", seconds="0", plate=""):
    time.sleep(float(seconds))
    if mood == "broken":
        sys.exit("out of paint: the pigment 'ultramarine' is used up")
    seed = hashlib.sha256(prompt.encode() + (pathlib.Path(plate).read_bytes() if plate else b"")).digest()
    chance = random.Random() if mood == "moody" or "surprise" in prompt else random.Random(seed)
    pathlib.Path(target).write_bytes(png(landscape(chance)))


if __name__ == "__main__":
    main(*sys.argv[1:])
