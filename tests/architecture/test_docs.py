"""What the documents say is there: files they link to, commands they name; and nothing of whose machine wrote them."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest

from regen_vcs.cli.commands import COMMANDS
from regen_vcs.cli.main import _PLUMBING

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
)
# Commands of later milestones, which pages may speak of as such.
PLANNED = {
    "compare", "diff", "du", "export", "gc", "graph", "affected", "job", "models", "pick", "pin", "push", "queue",
    "remote", "restore", "review", "rollback", "takes", "upgrade", "vary", "verify", "watch", "whence", "worker",
    "workset",
}  # fmt: skip

_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)[^)]*\)")
_HEADING = re.compile(r"^#+\s+(.*?)\s*$", re.MULTILINE)
# In code only: in prose "regen-vcs is…" is a sentence.
_CALL = re.compile(r'(?<!")(?:regen-vcs|git regen) ([a-z][a-z-]*)')
_COMMENT = re.compile(r"(?:^|\s)#.*$", re.MULTILINE)
_SHELL_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)

# Homes and workspaces with a name in them; those of examples are listed, so that a new one is looked at once.
_MACHINE_PATH = re.compile(r"(?<![\w.$}<>/-])/(?:root|home|Users|work|workspace)/[\w-][\w.-]*")
_EXAMPLES = re.compile(r"/(?:home|Users|work)/(?:ada|you|me|user|name|somebody|film|x|a|b)\b")


def page_id(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def anchors_of(path: Path) -> set[str]:
    """The anchors a web view makes of a page's headings."""
    text = _FENCE.sub("", path.read_text(encoding="utf-8"))
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in _HEADING.findall(text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_resolve(page):
    text = _CODE.sub("", _FENCE.sub("", page.read_text(encoding="utf-8")))
    broken = []
    for link in _LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists():
            broken.append(f"{link}: there is no such file")
        elif anchor and target.suffix == ".md" and anchor not in anchors_of(target):
            broken.append(f"{link}: there is no such heading")
    assert not broken, broken


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_commands_named_are_commands(page):
    text = page.read_text(encoding="utf-8")
    code = "\n".join([*(_COMMENT.sub("", body) for _, body in _SHELL_FENCE.findall(text)), *_CODE.findall(_FENCE.sub("", text))])
    known = {*COMMANDS, *_PLUMBING}
    unknown = {name for name in _CALL.findall(code) if name not in known | (PLANNED - known)}
    assert not unknown, unknown


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_nobody_is_told_to_say_a_command_that_is_not_there_yet(page):
    """A planned command may be spoken of, but not shown as something to type."""
    text = page.read_text(encoding="utf-8")
    typed = "\n".join(_COMMENT.sub("", body) for language, body in _SHELL_FENCE.findall(text) if language in ("console", "sh", "bash", "shell"))
    early = {name for name in _CALL.findall(typed) if name not in {*COMMANDS, *_PLUMBING}}
    assert not early, early


def tracked_files() -> list[Path]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, env=environ, capture_output=True, timeout=60, check=False)
    if done.returncode:
        pytest.skip("not in a git checkout")
    paths = (ROOT / os.fsdecode(name) for name in done.stdout.split(b"\0") if name)
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def test_no_paths_of_a_machine_in_tracked_files():
    found = []
    for path in tracked_files():
        data = path.read_bytes()
        if b"\0" in data[:8000]:
            continue
        named = _MACHINE_PATH.findall(data.decode("utf-8", "replace"))
        found += [f"{page_id(path)}: {each}" for each in named if not _EXAMPLES.match(each)]
    assert not found, found
