"""From a remote's URL to the store behind it. Hot path: what a remote needs is imported when one is opened."""

from __future__ import annotations

from collections.abc import Mapping

from regen_vcs.remote.base import Remote, RemoteStore


def open_remote(remote: Remote, environ: Mapping[str, str], *, patience: float) -> RemoteStore:
    """A remote to use; nothing is asked of it yet. environ: where the provider's own chain looks for credentials.

    patience: seconds of silence after which a call gives up. InvalidError for a URL that is no remote's; Refused where
    what the URL and the environment say does not fit together.
    """
    from regen_vcs.remote.store import LayoutStore
    from regen_vcs.remote.urls import parse_url

    return LayoutStore(remote, _bucket(parse_url(remote.url), remote, environ, patience), patience)


def _bucket(address, remote: Remote, environ: Mapping[str, str], patience: float):
    """The `Bucket` (bucket.py) at an `Address` (urls.py)."""
    match address.scheme:
        case "file":
            from regen_vcs.remote.folder import FolderBucket

            return FolderBucket(address.place, remote.name, patience)
        case "memory":
            from regen_vcs.remote.memory import MemoryBucket

            return MemoryBucket(address.place)
        case "http" | "https":
            from regen_vcs.remote.dav import DavBucket

            return DavBucket(address, remote.name, environ, patience)
        case _:
            from regen_vcs.remote.cloud import CloudBucket

            return CloudBucket(address, remote.name, environ, patience)
