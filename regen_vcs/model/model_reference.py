"""How a recipe names a model, and what the hash of a model is taken of. Pure: docs/models.md in code.

A *model* here is a file of weights, or the folder of a whole pipeline (diffusers).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from blake3 import blake3

from regen_vcs.errors import InvalidError
from regen_vcs.model.canonical import canonical_bytes
from regen_vcs.model.recipe import Model

# SHA-256 is how everybody else names a model file; BLAKE3 is taken where a recipe says so.
ALGORITHMS = ("sha256", "blake3")
DEFAULT_ALGORITHM = "sha256"

_DIRECTORY_DOMAIN = b"regen-vcs model directory v1\n"
_DIRECTORY_SUFFIXES = (".safetensors", ".json", ".model", ".jinja")
_DIRECTORY_NAMES = frozenset({"merges.txt", "vocab.txt"})
_MAX_NAME = 512
_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?\Z")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,200}\Z")


def check_model_name(name: str) -> None:
    """InvalidError for a name that could leave the model folders, or that means another place on each machine."""
    drive = len(name) > 1 and name[1] == ":" and name[0].isalpha()
    if name.startswith(("/", "~")) or "\\" in name or drive:
        raise InvalidError(
            f"the model {name!r} is a place on one machine",
            "name the file or the hub id; where models are is for each machine to say: the setting modelPath",
        )
    if not name.isprintable() or len(name) > _MAX_NAME or any(part in ("", ".", "..") for part in name.split("/")):
        raise InvalidError(f"{name!r} is not the name of a model", "a file's name, or a hub id such as org/name")


def hub_folder(name: str) -> str | None:
    """The folder of a hub id in the Hugging Face cache; None for a name that is no hub id."""
    if not _HUB_ID.match(name) or "--" in name or ".." in name:
        return None
    return "models--" + name.replace("/", "--")


def is_revision(text: str) -> bool:
    """Whether a version could name a branch, tag or commit of a hub repository, and nothing outside it."""
    return bool(_REVISION.match(text)) and not any(part in ("", ".", "..") for part in text.split("/"))


def counts_in_directory(name: str) -> bool:
    """Whether a file of a model's folder counts in its hash: weights, configuration and vocabularies do, and
    read-me files, pictures and everything hidden do not. name: relative, POSIX."""
    parts = name.split("/")
    if any(part.startswith(".") for part in parts):
        return False
    return name.endswith(_DIRECTORY_SUFFIXES) or parts[-1] in _DIRECTORY_NAMES


def new_hasher(algorithm: str):
    """A hasher with `update` and `hexdigest`; InvalidError for an algorithm models are not named by."""
    if algorithm not in ALGORITHMS:
        raise InvalidError(f"{algorithm!r} is not how a model is hashed", "sha256:… or blake3:…")
    return hashlib.sha256() if algorithm == "sha256" else blake3()


def directory_hash(members: Mapping[str, str], algorithm: str = DEFAULT_ALGORITHM) -> str:
    """The hash of a folder, "sha256:…". members: {relative POSIX name: hex digest of its bytes by `algorithm`}."""
    hasher = new_hasher(algorithm)
    hasher.update(_DIRECTORY_DOMAIN)
    hasher.update(canonical_bytes({"algorithm": algorithm, "files": dict(members)}))
    return f"{algorithm}:{hasher.hexdigest()}"


def algorithm_of(digest: str) -> str:
    """"sha256" of "sha256:…"; InvalidError where it is none of ours."""
    algorithm = digest.partition(":")[0]
    new_hasher(algorithm)
    return algorithm


def identity_of(model: Model) -> tuple[str | None, str | None, str | None]:
    """What tells two models apart in a key: the hash where there is one, else name and version."""
    return (model.hash, None, None) if model.hash else (None, model.name, model.version)


def model_words(model: Model) -> str:
    """A model on one line: `sd_xl_base_1.0.safetensors 1.0 sha256:31e35c80fc4a…`, or `… (unpinned)`."""
    words = [word for word in (model.name, model.version) if word]
    words.append(short_digest(model.hash) if model.hash else "(unpinned)")
    return " ".join(words)


def short_digest(digest: str) -> str:
    """`sha256:31e35c80fc4a…`"""
    algorithm, _, digits = digest.partition(":")
    return f"{algorithm}:{digits[:12]}…"
