"""What the exact generators make, frozen: another NumPy, processor or system must give the very same samples."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from regen_vcs import media
from regen_vcs.generators import registry
from regen_vcs.generators.base import Job

VECTORS = Path(__file__).parents[1] / "vectors" / "generators.json"
CASES = [(name, case) for name in ("texture", "tone") for case in json.loads(VECTORS.read_text())[name]]


def content_of(name: str, case: dict, folder: str) -> str:
    generator = registry.load(name)
    raw = registry.complete_params(generator, case["params"])
    output = str(Path(folder) / f"out{case['suffix']}")
    params = registry.typed_params(generator, raw)
    generator.run(Job(params=params, raw_params=raw, inputs={}, output=output, scratch=folder))
    return media.content_hash(output)


@pytest.mark.parametrize(("name", "case"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_content_is_frozen(name, case, tmp_path):
    assert content_of(name, case, str(tmp_path)) == case["content"]


def test_no_two_vectors_are_alike_but_wav_and_flac():
    contents = [case["content"] for _, case in CASES]
    assert len(set(contents)) == len(contents) - 1


def test_a_processor_without_simd_makes_the_same(tmp_path):
    """Another process, and NumPy without its vector loops, fused multiply-add among them."""
    from numpy._core import _multiarray_umath as loops

    program = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); from test_gen_vectors import CASES, content_of\n"
        "for name, case in CASES: print(content_of(name, case, __import__('tempfile').mkdtemp(dir=sys.argv[2])))"
    )
    found = [name for name in loops.__cpu_dispatch__ if loops.__cpu_features__.get(name)]
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, str(Path(__file__).parent), str(tmp_path)],
        env={"NPY_DISABLE_CPU_FEATURES": " ".join(found), "PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == [case["content"] for _, case in CASES]


def test_nothing_inexact_is_called():
    """The operations whose result differs between builds of NumPy, or of the C library, stay out of the built-ins."""
    inexact = {
        "sin", "cos", "tan", "arctan", "arctan2", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "power", "pow",
        "float_power", "cbrt", "hypot", "tanh", "interp", "dot", "matmul", "einsum", "inner", "vdot", "tensordot", "sum",
        "mean", "std", "var", "convolve", "correlate", "fft", "linalg", "random", "trapezoid", "polyfit",
    }  # fmt: skip
    rooms = Path(registry.__file__).parent
    for path in [rooms / "texture.py", rooms / "tone.py", *sorted((rooms / "procedural").glob("*.py"))]:
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("np", "math"):
                assert node.attr not in inexact, f"{path.name}:{node.lineno}: {node.value.id}.{node.attr}"
            assert not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult)), f"{path.name}:{node.lineno}: @"


def rewrite() -> None:
    document = json.loads(VECTORS.read_text())
    lines = [f'  "about": {json.dumps(document["about"])}']
    for name in ("texture", "tone"):
        for case in document[name]:
            with tempfile.TemporaryDirectory() as folder:
                case["content"] = content_of(name, case, folder)
        lines.append(f'  "{name}": [\n' + ",\n".join(f"    {json.dumps(case)}" for case in document[name]) + "\n  ]")
    VECTORS.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    sys.exit(rewrite())
