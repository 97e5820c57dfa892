"""What stands between an artist and the project, in words, each with the button that mends it. Nothing here knows Blender."""

from __future__ import annotations

from typing import NamedTuple

from .bridge import RegenError


class Message(NamedTuple):
    """lines: what to read; operator: the button, "" for none; label, icon: the button's; settings: the operator's properties."""

    kind: str
    lines: tuple[str, ...]
    operator: str = ""
    label: str = ""
    icon: str = "INFO"
    settings: tuple[tuple[str, object], ...] = ()


LOOKING = Message("looking", ("Looking at the project…",), icon="SORTTIME")
UNSAVED = Message("unsaved", ("This file has not been saved yet.", "Save it inside your project's folder."), "wm.save_as_mainfile", "Save As…", "FILE_TICK")
NO_REPOSITORY = Message(
    "no_repository", ("This folder is no project yet.", "Set up: git remembers recipes,", "and the media follow."), "regen.setup_project", "Set Up Project…", "NEWFOLDER"
)  # fmt: skip
NOT_SET_UP = Message(
    "not_set_up", ("This copy of the project is not set up", "on this machine."), "regen.setup_project", "Set Up…", "TOOL_SETTINGS"
)


def absent(error: RegenError) -> Message:
    return Message("no_tool", (error.what + ".", error.hint), "regen.open_preferences", "Preferences…", "PREFERENCES")


def not_trusted(count: int) -> Message:
    programs = "1 program of this project has" if count == 1 else f"{count} programs of this project have"
    return Message(
        "not_trusted", (f"{programs} not been", "allowed to run on this machine.", "Nothing of it runs until you say so."),
        "regen.trust_project", "Show and Allow…", "LOCKED",
    )  # fmt: skip


def trouble(error: RegenError) -> Message:
    return Message("trouble", tuple(filter(None, (error.what, error.hint))), "regen.refresh", "Try Again", "FILE_REFRESH")
