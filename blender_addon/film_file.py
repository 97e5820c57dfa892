"""The open .blend on disk: whether somebody else has written it since it was read or saved. git does, when a version is switched in a terminal, and so
does a second Blender; a plain save would then put this film over that one. Nothing here knows Blender."""

from __future__ import annotations

import os
import shutil


def sign_of(path: str) -> tuple[int, int, int] | None:
    """Another one as soon as the file is written or replaced; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class FilmFile:
    """path: of the .blend, "" for one that was never saved. saved_meanwhile: it was saved while git was at work."""

    def __init__(self) -> None:
        self.path = ""
        self.saved_meanwhile = False
        self._sign: tuple[int, int, int] | None = None
        self._told: tuple[int, int, int] | None = None

    def remember(self, path: str) -> None:
        """It was read or saved just now."""
        self.path, self._sign, self._told = path, sign_of(path) if path else None, None

    @property
    def is_another(self) -> bool:
        """Whether the file on disk is not the one that was read or saved. One that is gone is none."""
        now = sign_of(self.path) if self.path else None
        return now is not None and self._sign is not None and now != self._sign

    def tell_once(self) -> bool:
        """Whether there is something to be told that has not been yet."""
        now = sign_of(self.path) if self.is_another else None
        if now is None or now == self._told:
            return False
        self._told = now
        return True

    def put_aside(self, word: str) -> str:
        """Copy the file on disk to a name that is free; that name."""
        target = aside_name(self.path, word)
        shutil.copy2(self.path, target)
        return target


def aside_name(path: str, word: str) -> str:
    """`film (word).blend` beside `film.blend`, with a number where that is taken."""
    stem, suffix = os.path.splitext(path)
    plain = "".join(char if char.isalnum() or char in " -_.," else "-" for char in word)
    for number in range(1, 10_000):
        name = f"{stem} ({plain}{f' {number}' if number > 1 else ''}){suffix}"
        if not os.path.lexists(name):
            return name
    raise FileExistsError(f"too many files called {stem} ({plain})")


film_file = FilmFile()
