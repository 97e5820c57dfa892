"""One round trip that shows whether a remote can be used, in the words of whoever has to mend it."""

from __future__ import annotations

import os

from regen_vcs.remote import layout
from regen_vcs.remote.base import Refused, Remote
from regen_vcs.remote.bucket import Bucket, Unlistable, content_of
from regen_vcs.remote.steady import Steady

_LENGTH = 64  # bytes; random, so that no cache in between has them


def probe(remote: Remote, bucket: Bucket, steady: Steady) -> str | None:
    """None, or what is odd about a remote that works. Unreachable, Refused, InvalidError and NewerFormat where it does not."""
    odd = [_read(remote, bucket, steady)]
    if not remote.read_only:
        odd += [_write(remote, bucket, steady)]
    return "; ".join(filter(None, odd)) or None


def _read(remote: Remote, bucket: Bucket, steady: Steady) -> str | None:
    where = f"remote {remote.name}"
    mark = read_small(bucket, steady, layout.MARK)
    if mark is not None:
        layout.check_mark(mark, where)
    try:
        # A missing bucket looks like a missing object to all but a listing.
        next(steady.listing(lambda: bucket.list(layout.RECIPES, 0)), None)
    except Unlistable:
        return "it cannot list what it has: no prune, no offers of other takes" + ("" if mark else f"; it has no {layout.MARK}")
    return None if mark is not None else f"nobody has pushed to it yet (no {layout.MARK})"


def _write(remote: Remote, bucket: Bucket, steady: Steady) -> str | None:
    name, data = f"v1/probe-{os.urandom(8).hex()}", os.urandom(_LENGTH)
    steady.call(lambda: bucket.write(name, content_of(data)), from_first_failure=True)
    try:
        if read_small(bucket, steady, name) != data:
            raise Refused(f"remote {remote.name} gives back other bytes than it was given", "look for a cache or a proxy in between")
        size = steady.call(lambda: bucket.size(name))
        if size != len(data):
            raise Refused(f"remote {remote.name} says {size} bytes of an object of {len(data)}", "look for a proxy in between")
    finally:
        odd = _clean_up(bucket, steady, name)
    return odd


def _clean_up(bucket: Bucket, steady: Steady, name: str) -> str | None:
    try:
        steady.call(lambda: bucket.remove([name]))
    except Refused:
        return "what is there cannot be removed with these credentials: no prune"
    return None


def read_small(bucket: Bucket, steady: Steady, name: str, limit: int = 1 << 20) -> bytes | None:
    """The stored bytes of a text; None where there is none, or where it is larger than one can be."""
    stream = steady.stream(bucket, name)
    if stream is None or (stream[0] or 0) > limit:
        return None
    data = bytearray()
    for chunk in stream[1]:
        data += chunk
        if len(data) > limit:
            return None
    return bytes(data)
