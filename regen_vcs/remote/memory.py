"""`memory://name`: a remote that lasts as long as the process. For tests, and for trying things out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from regen_vcs.remote.bucket import Body, Content

_PLACES: dict[str, dict[str, bytes]] = {}


class MemoryBucket:
    """All that open the same name see the same bytes."""

    def __init__(self, name: str):
        self._held = _PLACES.setdefault(name, {})

    def size(self, name: str) -> int | None:
        data = self._held.get(name)
        return None if data is None else len(data)

    def read(self, name: str, start: int = 0) -> Body | None:
        data = self._held.get(name)
        return None if data is None else Body(start, len(data), iter((data[start:],)))

    def write(self, name: str, content: Content) -> None:
        self._held[name] = b"".join(content.chunks())

    def list(self, prefix: str, depth: int) -> Iterator[tuple[str, int]]:
        found = [(name, len(data)) for name, data in list(self._held.items()) if name.startswith(prefix)]
        return (each for each in found if each[0].count("/", len(prefix)) <= depth)

    def remove(self, names: Iterable[str]) -> None:
        for name in names:
            self._held.pop(name, None)

    def establish(self) -> None:
        pass

    def sweep(self) -> None:
        pass

    def close(self) -> None:
        pass
