"""Our block of lines in a file that belongs to somebody else.

Every other byte of the file stays as it is, and taking the block out gives the file back byte for byte. What has
to be known for that is kept in the block's own shape, so no note elsewhere can go stale:

    the file                     what is written            taken out again
    did not exist                block LF                   the file is removed
    was empty                    block                      an empty file
    ended with a line break      text block LF              text
    ended without one            text LF block              text

A label tells the blocks of several worktrees apart, where they share one file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from regen_vcs.errors import InvalidError
from regen_vcs.platform.files import O_BINARY, O_CLOEXEC, O_NONBLOCK, temp_tag
from regen_vcs.platform.tree import TEMP_PREFIX

BEGIN = "# >>> regen-vcs"
NOTE = "(managed block; edit outside it)"
END = "# <<< regen-vcs"


def put_block(text: bytes | None, lines: Iterable[str], label: str = "") -> bytes | None:
    """`text` with a block of these lines, at the place of the one it has, else at the end.

    text: the file's bytes, None where there is no file. No lines: as `drop_block`. The block's line ends are
    those of the file.
    """
    lines = list(lines)
    if not lines:
        return drop_block(text, label)
    crlf = bool(text) and b"\r\n" in text
    line_end = b"\r\n" if crlf else b"\n"
    begin, end = _markers(label)
    block = line_end.join(
        [b"%b %b" % (begin, NOTE.encode()), *(line.encode("utf-8", "surrogateescape") for line in lines), end]
    )
    if text is None:
        return block + line_end
    span = _find(text, label)
    if span:
        start, stop = span
        return text[:start] + block + text[stop:]
    if not text:
        return block
    if text.endswith(b"\n"):
        return text + block + line_end
    return text + line_end + block


def drop_block(text: bytes | None, label: str = "") -> bytes | None:
    """`text` as it was without the block; None where there was no file."""
    span = _find(text, label) if text else None
    if span is None:
        return text
    start, stop = span
    before, after = text[:start], text[stop:]
    line_end = b"\r\n" if b"\r\n" in text[start:stop] else b"\n"
    if after:
        after = after.removeprefix(line_end)
        return before + after if before or after else None
    # The block closes the file without a line break: so did the text before it.
    return before.removesuffix(line_end)


def block_lines(text: bytes | None, label: str = "") -> list[str] | None:
    """The lines in the block; None where there is no block."""
    span = _find(text, label) if text else None
    if span is None:
        return None
    lines = text[span[0] : span[1]].decode("utf-8", "surrogateescape").split("\n")
    return [line.removesuffix("\r") for line in lines[1:-1]]


def labels_in(text: bytes | None) -> list[str]:
    """The labels of all our blocks in a file ("" for the one without)."""
    prefix, suffix = BEGIN.encode(), b" " + NOTE.encode()
    labels = []
    for line in (text or b"").split(b"\n"):
        line = line.removesuffix(b"\r")
        if line.startswith(prefix) and line.endswith(suffix):
            labels.append(line[len(prefix) : -len(suffix)].strip().decode("utf-8", "surrogateescape"))
    return labels


def _markers(label: str) -> tuple[bytes, bytes]:
    tail = (" " + label if label else "").encode("utf-8", "surrogateescape")
    return BEGIN.encode() + tail, END.encode() + tail


def _find(text: bytes, label: str) -> tuple[int, int] | None:
    """(first byte of the block, byte after its end marker). A begin without an end is nobody's."""
    begin, end = _markers(label)
    start = stop = None
    at = 0
    for line in text.split(b"\n"):
        bare = line.removesuffix(b"\r")
        if bare == begin + b" " + NOTE.encode():
            start = at
        elif start is not None and bare == end:
            stop = at + len(bare)
            break
        at += len(line) + 1
    return None if stop is None else (start, stop)


def read_file(path_abs: str) -> bytes | None:
    """The bytes, or None where there is no file. InvalidError for what is no file: a pipe would be waited on for ever."""
    try:
        fd = os.open(path_abs, os.O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_BINARY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise InvalidError(f"{path_abs}: not a regular file")
        return file.read()


def replace_file(path_abs: str, data: bytes | None) -> bool:
    """Give the file these bytes (None: no file) by rename, keeping its mode; False where it has them already.

    InvalidError for a symlink: git does not follow one either for `.gitattributes` and `.gitignore`.
    """
    if os.path.islink(path_abs):
        raise InvalidError(f"{path_abs} is a symlink", "replace it by a plain file")
    if read_file(path_abs) == data:
        return False
    if data is None:
        os.unlink(path_abs)
        return True
    os.makedirs(os.path.dirname(path_abs), exist_ok=True)
    # Ignored by git, and swept like any temporary of ours, should we die before the rename.
    temporary = os.path.join(os.path.dirname(path_abs), TEMP_PREFIX + temp_tag())
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            if os.path.exists(path_abs):
                os.chmod(temporary, stat.S_IMODE(os.stat(path_abs).st_mode))
        os.replace(temporary, path_abs)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
    return True
