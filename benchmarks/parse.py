"""How long it takes to read 10,000 sidecars and compute their keys. To reach: 1.5 s on two quiet cores.

    python benchmarks/parse.py [COUNT]

Prints one JSON object: seconds (the best of three) for parsing, for the keys, for writing them again, and
the milliseconds that a fresh interpreter takes to import what the git hooks need of model/.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable

from regen_vcs.model.canonical import pretty_bytes
from regen_vcs.model.key import compute_key, hash_bytes
from regen_vcs.model.recipe import parse_recipe, recipe_bytes

ROUNDS = 3
IMPORT_ROUNDS = 15
HOT_MODULES = "regen_vcs.model.canonical, regen_vcs.model.paths, regen_vcs.model.recipe, regen_vcs.model.key"


def sidecar_text(number: int) -> bytes:
    """A sidecar as a film project has them: three inputs, one model, an accepted and reviewed take; about 1.5 KB."""
    take = "blake3:" + hash_bytes(b"take %d" % number)
    return pretty_bytes(
        {
            "regen": 1,
            "generator": "comfyui:txt2img",
            "definition": "blake3:" + hash_bytes(b"definition"),
            "models": {"checkpoint": {"hash": f"sha256:{hash_bytes(b'model')}", "name": "base_1.0.safetensors", "version": "1.0"}},
            "params": {"cfg": 6.5, "negative": "blurry", "prompt": f"rain on glass, shot {number}", "seed": 2**64 - 1 - number, "steps": 30},
            "inputs": {"init_image": "../plates/base.png", "lut": "../../luts/night.cube", "workflow": "../../workflows/txt2img.json"},
            "output": {
                "content": "pixels:blake3:" + hash_bytes(b"pixels %d" % number),
                "hash": take,
                "key": hash_bytes(b"key %d" % number),
                "look": "3OcRJYB4d3h/iIeHeEh3eIhw+j3A",
                "media": {"height": 1024, "type": "image/png", "width": 1024},
                "size": 1048576 + number,
            },
            "review": {"at": "2026-11-22T10:00:00Z", "by": "lena", "hash": take, "note": "", "state": "approved"},
            "meta": {"agent": "cinematographer", "created": "2026-11-22T10:00:00Z", "shot": "010", "tags": ["hero"], "type": "environment"},
        }
    )


def best_seconds(work: Callable[[], object]) -> float:
    """The shortest of ROUNDS runs: what is left when the machine does nothing else."""
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return min(taken)


def measure_model(texts: Iterable[bytes]) -> dict[str, float]:
    hashes = {name: hash_bytes(name.encode()) for name in ("init_image", "lut", "workflow")}
    recipes = [parse_recipe(text, "shots/sky.png.regen.json") for text in texts]
    return {
        "parse_seconds": best_seconds(lambda: [parse_recipe(text, "shots/sky.png.regen.json") for text in texts]),
        "key_seconds": best_seconds(lambda: [compute_key(recipe, "shots/sky.png", hashes) for recipe in recipes]),
        "write_seconds": best_seconds(lambda: [recipe_bytes(recipe) for recipe in recipes]),
    }


def start_milliseconds(statement: str) -> float:
    """The quickest of IMPORT_ROUNDS fresh interpreters that run one statement."""
    taken = []
    for _ in range(IMPORT_ROUNDS):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-I", "-c", statement], check=True)
        taken.append(time.perf_counter() - start)
    return min(taken) * 1000


def main(count: int) -> None:
    texts = [sidecar_text(number) for number in range(count)]
    figures: dict[str, float] = {"sidecars": count, "bytes_each": len(texts[0])}
    figures |= measure_model(texts)
    figures["parse_and_key_seconds"] = figures["parse_seconds"] + figures["key_seconds"]
    figures["bare_start_ms"] = start_milliseconds("pass")
    figures["json_blake3_start_ms"] = start_milliseconds("import json, blake3")
    figures["model_start_ms"] = start_milliseconds(f"import {HOT_MODULES}")
    print(json.dumps({name: round(figure, 3) for name, figure in figures.items()}, indent=2))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
