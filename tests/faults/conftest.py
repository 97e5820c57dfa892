"""File systems of our own for the tests that need one: tiny ones, read-only ones, ones that share blocks."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.conftest import Home


class Mounts:
    """Mounts for the length of a test; skips, with the reason, where mounting is not allowed."""

    def __init__(self, base):
        self._base = base
        self._mounted: list[str] = []

    def tmpfs(self, size: str) -> str:
        return self._mount(["-t", "tmpfs", "-o", f"size={size}", "none"])

    def image(self, mkfs: list[str], megabytes: int) -> str:
        """A loop-mounted image made by a command that takes the image's path as its last argument."""
        image = str(self._base / f"image-{len(self._mounted)}")
        with open(image, "wb") as file:
            file.truncate(megabytes << 20)
        subprocess.run([*mkfs, image], check=True, capture_output=True)
        return self._mount(["-o", "loop", image])

    def remount_read_only(self, folder: str) -> None:
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True, capture_output=True)

    def _mount(self, arguments: list[str]) -> str:
        if sys.platform != "linux" or os.geteuid() != 0:
            pytest.skip("needs root on Linux, to mount a file system")
        folder = str(self._base / f"mount-{len(self._mounted)}")
        os.mkdir(folder)
        done = subprocess.run(["mount", *arguments, folder], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
        self._mounted.append(folder)
        return folder

    def unmount_all(self) -> None:
        for folder in reversed(self._mounted):
            subprocess.run(["umount", "-l", folder], check=False, capture_output=True)


@pytest.fixture
def mounts(tmp_path):
    mounts = Mounts(tmp_path)
    try:
        yield mounts
    finally:
        mounts.unmount_all()


@pytest.fixture
def home(tmp_path):
    """A user's machine in memory where the system has a place for that: death asks nothing of a disk, power does."""
    memory = "/dev/shm"
    if not os.access(memory, os.W_OK):
        yield Home(tmp_path)
        return
    with tempfile.TemporaryDirectory(prefix="regen-faults-", dir=memory) as folder:
        yield Home(Path(folder))
