"""The id git gives to bytes. Apart from `index`, because `hashlib` takes 4 ms to load and most syncs need no id."""

from __future__ import annotations

import hashlib


def blob_oid(data: bytes, oid_format: str) -> str:
    """The id git gives these bytes as a blob."""
    digest = hashlib.new(oid_format, b"blob %d\0" % len(data), usedforsecurity=False)
    digest.update(data)
    return digest.hexdigest()
