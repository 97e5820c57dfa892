"""Stat signatures, whole writes, clones and copies, locks between processes."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from regen_vcs.platform import files
from regen_vcs.platform.files import FileLock, StatSig, copy_range, sig, write_atomic


def test_a_signature_moves_with_every_write(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"1")
    first = sig(os.stat(path))
    assert first == (1, first.mtime_ns, first.ctime_ns, os.stat(path).st_ino)
    time.sleep(0.02)
    path.write_bytes(b"2")
    assert sig(os.stat(path)) != first
    assert isinstance(first, StatSig)


def test_write_atomic_replaces_the_whole(tmp_path):
    path = str(tmp_path / "x")
    for durable in (False, True):
        for data in (b"long " * 1000, b"", b"short"):
            write_atomic(path, data, durable=durable)
            with open(path, "rb") as file:
                assert file.read() == data
    assert os.listdir(tmp_path) == ["x"]


def test_write_atomic_that_fails_leaves_the_old(tmp_path, monkeypatch):
    path = str(tmp_path / "x")
    write_atomic(path, b"old")

    def full(_fd, _data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "write_all", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, b"new")
    assert Path(path).read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize("refusal", [None, errno.EXDEV, errno.ENOSYS])
@pytest.mark.parametrize("size", [0, 1, (1 << 20) + 5])
def test_copies_in_the_kernel_or_by_hand(tmp_path, monkeypatch, refusal, size):
    if refusal is not None:

        def refuse(*_args):
            raise OSError(refusal, os.strerror(refusal))

        monkeypatch.setattr(os, "copy_file_range", refuse, raising=False)
    data = os.urandom(size)
    (tmp_path / "src").write_bytes(data)
    with open(tmp_path / "src", "rb") as src, open(tmp_path / "dst", "wb") as dst:
        assert copy_range(src.fileno(), dst.fileno(), size) == size
    assert (tmp_path / "dst").read_bytes() == data


def test_a_source_that_ends_early_is_told(tmp_path):
    (tmp_path / "src").write_bytes(b"12345")
    with open(tmp_path / "src", "rb") as src, open(tmp_path / "dst", "wb") as dst:
        assert copy_range(src.fileno(), dst.fileno(), 10) == 5


def test_syncing_a_file_system(tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        files.sync_filesystem(fd)
    finally:
        os.close(fd)
    files.fsync_dir(str(tmp_path))


def test_temporary_tags_differ():
    tags = {files.temp_tag() for _ in range(1000)}
    assert len(tags) == 1000
    assert all(tag.startswith(f"{os.getpid()}-") for tag in tags)


def test_processes_that_exist():
    assert files.process_exists(os.getpid())
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert not files.process_exists(child.pid)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "no space left on device while storing x"),
        (errno.EDQUOT, "disk quota exceeded while storing x"),
        (errno.EROFS, "read-only file system while storing x"),
        (errno.EACCES, "permission denied while storing x"),
        (errno.EIO, "Input/output error while storing x"),
    ],
)
def test_errors_in_words(number, words):
    error = files.write_error(OSError(number, os.strerror(number)), "storing x")
    assert error.what == words
    assert error.hint or number == errno.EIO


# -- locks -----------------------------------------------------------------------------------------------------------


def test_a_lock_is_one_holders(tmp_path):
    path = str(tmp_path / "deep" / "lock")
    first, second = FileLock(path), FileLock(path)
    assert first.acquire(timeout=0)
    assert first.held
    assert not second.acquire(timeout=0)
    start = time.monotonic()
    assert not second.acquire(timeout=0.1)
    assert 0.09 < time.monotonic() - start < 5
    first.release()
    first.release()
    with second:
        assert not first.acquire(timeout=0)
    assert first.acquire(timeout=0)
    with pytest.raises(RuntimeError):
        first.acquire(timeout=0)
    first.release()


def test_shared_locks(tmp_path):
    path = str(tmp_path / "lock")
    readers = [FileLock(path), FileLock(path)]
    assert all(each.acquire(timeout=0, shared=True) for each in readers)
    writer = FileLock(path)
    assert not writer.acquire(timeout=0)
    for each in readers:
        each.release()
    assert writer.acquire(timeout=0)
    assert not readers[0].acquire(timeout=0, shared=True)
    writer.release()


def test_a_lock_ends_with_its_process(tmp_path):
    path = str(tmp_path / "lock")
    code = (
        "import sys, time\nfrom regen_vcs.platform.files import FileLock\n"
        "lock = FileLock(sys.argv[1]); lock.acquire(); print('held', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"held\n"
    lock = FileLock(path)
    assert not lock.acquire(timeout=0)
    child.kill()
    child.communicate()
    assert lock.acquire(timeout=5)
    lock.release()


def test_windows_locks_are_slots(monkeypatch, tmp_path):
    """The Windows form, against a stand-in for its one call: ranges of bytes that exclude one another."""
    taken: dict[int, int] = {}  # byte → descriptor

    class Msvcrt:
        LK_NBLCK, LK_UNLCK = 1, 2

        @staticmethod
        def locking(fd, mode, count):
            at = os.lseek(fd, 0, os.SEEK_CUR)
            wanted = range(at, at + count)
            if mode == Msvcrt.LK_UNLCK:
                for byte in wanted:
                    assert taken.pop(byte) == fd
            elif any(byte in taken for byte in wanted):
                raise OSError(errno.EACCES, "locked")
            else:
                taken.update(dict.fromkeys(wanted, fd))

    monkeypatch.setattr(files, "WINDOWS", True)
    monkeypatch.setattr(files, "msvcrt", Msvcrt, raising=False)
    path = str(tmp_path / "lock")
    a, b, c = FileLock(path), FileLock(path), FileLock(path)
    assert a.acquire(timeout=0, shared=True)
    assert b.acquire(timeout=0, shared=True)
    assert not c.acquire(timeout=0)
    a.release()
    b.release()
    assert c.acquire(timeout=0)
    assert not a.acquire(timeout=0.02, shared=True)
    c.release()
    assert taken == {}
