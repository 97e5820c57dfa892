"""The sidecar's shape for the JSON Schema that editors and CI use. `model/recipe.py` is what parses sidecars.

Unknown fields are allowed at every level, because they survive a round trip.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_BLAKE3 = Annotated[str, Field(pattern=r"^blake3:[0-9a-f]{64}$")]
_KEY = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow")


class SidecarModel(_Part):
    """A model by what names it. In the key it counts by hash, else by name and version."""

    hash: str | None = Field(None, pattern=r"^(sha256|blake3):[0-9a-f]{64}$")
    name: str | None = None
    version: str | None = None
    alias: str | None = Field(None, description="What regen.toml called it; not part of the key.")


class SidecarOutput(_Part):
    """The accepted take."""

    hash: _BLAKE3 = Field(description="BLAKE3 of the bytes, or of the manifest of a sequence or directory.")
    key: _KEY | None = Field(None, description="The key these bytes were made for; a source asset has none.")
    size: int = Field(ge=0, description="Bytes.")
    content: str | None = Field(None, description="Hash of the decoded pixels or samples.")
    look: str | None = Field(None, description="ThumbHash, base64.")
    media: dict[str, Any] = Field({}, description="Type, width, height, duration and the like.")
    files: int | None = Field(None, ge=0, description="How many files the directory or sequence has.")
    frames: str | None = Field(None, description='Frame numbers of a sequence, as "1-48".')


class SidecarReview(_Part):
    """What somebody said about exactly these bytes."""

    at: str | None = None
    by: str | None = None
    hash: _BLAKE3 | None = Field(None, description="The output this is about.")
    note: str | None = None
    state: Literal["wip", "review", "approved", "final"]


class Sidecar(_Part):
    """What git keeps of one asset."""

    regen: Literal[1] = Field(description="Version of this format.")
    generator: str | None = Field(None, description='As "texture" or "command:upscale"; none: a source asset.')
    definition: _BLAKE3 | None = Field(None, description="Hash of the generator's table and code in regen.toml.")
    models: dict[str, SidecarModel] = Field({}, description="Role to model.")
    params: dict[str, Any] = {}
    inputs: dict[str, str] = Field({}, description="Name to path, relative to this file, or @root/path.")
    output: SidecarOutput | None = None
    review: SidecarReview | None = None
    meta: dict[str, Any] = Field({}, description="Anything; not part of the key.")
