"""A store of many small objects, half of them needed by a repository, half takes that nobody ever accepted.

    python benchmarks/store.py ROOT OBJECTS

ROOT: an empty repository that regen-vcs was set up in. What `gc --takes` finds there is what years of work leave behind.
"""

from __future__ import annotations

import os
import subprocess
import sys

from regen_vcs.engine.workspace import Workspace
from regen_vcs.model.key import compute_key
from regen_vcs.model.recipe import Output, Recipe, recipe_bytes
from regen_vcs.stores.witness import ACCEPTED, MADE, Witness


def fill(root: str, count: int) -> None:
    ws = Workspace.open(root, os.environ)
    witness = Witness(ws.stores.keep.root)
    with ws.stores.relying():
        for number in range(count):
            data = b"object %d\n" % number * 4
            recipe = Recipe(generator="texture", params={"kind": "fbm", "seed": number // 2, "prompt": f"take {number}"})
            asset = f"shots/{number % 500:03}/{number:06}.png"
            key = compute_key(recipe, asset, {})
            hash = ws.stores.ingest_bytes(data)[0]
            output = {"hash": f"blake3:{hash}", "size": len(data)}
            record = {"at": "2026-01-01T00:00:00.000Z", "asset": asset, "seconds": 1.0, "generator": "texture", "inputs": {}, "output": output}
            ws.results.record(key, hash, record)
            ws.results.save_recipe(key, recipe_bytes(recipe))
            witness.saw(MADE, [hash])
            if number % 2 == 0:
                witness.saw(ACCEPTED, [hash])
                _write(f"{root}/{asset}.regen.json", recipe_bytes(recipe.replace(output=Output(hash=hash, key=key, size=len(data)))))
    ws.register()
    ws.close()
    for argv in (["add", "-A"], ["-c", f"core.hooksPath={os.devnull}", "commit", "-qm", "film"]):
        subprocess.run(["git", *argv], cwd=root, check=True)


def _write(path: str, data: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


if __name__ == "__main__":
    fill(sys.argv[1], int(sys.argv[2]))
