"""A pipeline's folder, looked at before anything loads it: weights that run code are refused, and so is code itself.

diffusers imports whatever library `model_index.json` names, and runs Python files that lie beside it; torch.load
unpickles. So the folder is checked by its names, by us, whatever switches of theirs say the same.
"""

from __future__ import annotations

import json
import os

from regen_vcs.generators.base import JobFailed

INDEX = "model_index.json"
_MAX_INDEX = 1 << 20
_PICKLES = (".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth")
_WEIGHTS = ".safetensors"
_LIBRARIES = frozenset({"diffusers", "transformers"})


def check_folder(path: str, pipeline_modules: frozenset[str]) -> str:
    """The name of the pipeline's class. JobFailed where the folder is none, or could run code.

    pipeline_modules: names of diffusers' own pipeline packages, which an index may say in place of a library.
    """
    if not os.path.isdir(path):
        raise JobFailed(
            f"{path}: a single file; a pipeline is a folder with {INDEX} "
            "(save it once with diffusers: from_single_file, then save_pretrained with safe_serialization)"
        )
    class_name, parts = _read_index(path, pipeline_modules)
    for here, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        where = os.path.relpath(here, path)
        _check_names(path, where, names)
    for part in parts:
        if not os.path.isdir(f"{path}/{part}"):
            raise JobFailed(f"{path}: {INDEX} names {part}, and there is no such folder: not downloaded in full?")
    return class_name


def _read_index(path: str, pipeline_modules: frozenset[str]) -> tuple[str, list[str]]:
    try:
        with open(f"{path}/{INDEX}", "rb") as file:
            index = json.loads(file.read(_MAX_INDEX))
    except FileNotFoundError:
        raise JobFailed(f"{path}: not a pipeline: it has no {INDEX}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise JobFailed(f"{path}/{INDEX}: cannot be read: {error}") from None
    class_name = index.get("_class_name") if isinstance(index, dict) else None
    if not isinstance(class_name, str):
        raise JobFailed(f"{path}: its pipeline is code of its own, which is never run" if class_name else
                        f"{path}: {INDEX} names no class")  # fmt: skip
    parts = []
    for name, value in index.items():
        library = value[0] if isinstance(value, list) and value else None
        if name.startswith("_") or not isinstance(library, str):
            continue  # a part left out, or a setting of the pipeline's own
        if library not in _LIBRARIES and library not in pipeline_modules:
            raise JobFailed(f"{path}: its {name} is of {library!r}; only parts of {' and '.join(sorted(_LIBRARIES))} are loaded")
        parts.append(name)
    return class_name, parts


def _check_names(path: str, where: str, names: list[str]) -> None:
    shown = path if where == "." else f"{path}/{where}"
    code = sorted(name for name in names if name.endswith((".py", ".pyc", ".so")))
    if code:
        raise JobFailed(f"{shown}/{code[0]}: a model with code of its own is not loaded")
    pickles = sorted(name for name in names if name.endswith(_PICKLES))
    if pickles and where != "." and not any(name.endswith(_WEIGHTS) for name in names):
        raise JobFailed(f"{shown}/{pickles[0]}: only as pickle, which can run code; safetensors is wanted")
