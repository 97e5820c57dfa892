"""What stands between an artist and the project, in words, each with the button that mends it. Nothing here knows Blender."""

from __future__ import annotations

from typing import NamedTuple

from .bridge import INSTALL_HINT, RegenError


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
SET_UP_AGAIN = Message(
    "set_up_again", ("Part of what Set Up put into this project is gone,", "perhaps with another Blender or regen-vcs.", "Until it is back, media do not follow every switch of versions."),
    "regen.setup_project", "Set Up Again…", "TOOL_SETTINGS",
)  # fmt: skip


def absent(error: RegenError) -> Message:
    """A program is missing, or is not what it should be."""
    lines = (error.what + ".", error.hint)
    if error.hint == INSTALL_HINT:
        lines = (
            error.what + ".", "It is the program that makes and keeps the media.",
            "The simplest way: install this addon from a zip that has it inside (its name ends with your system).",
            "Or install it yourself: pipx install regen-vcs, and press Refresh in this panel. If it lies somewhere else, say where:",
        )  # fmt: skip
    return Message("no_tool", lines, "regen.open_preferences", "Preferences…", "PREFERENCES")


def not_trusted(generators: int, files: int) -> Message:
    """generators: of the project, that could run something; files: not allowed yet."""
    can = {0: "This project has files that are programs", 1: "1 generator of this project runs programs"}
    new = "1 file is" if files == 1 else f"{files} files are"
    return Message(
        "not_trusted", (f"{can.get(generators, f'{generators} generators of this project run programs')}, and {new} not allowed on this machine yet.", "Nothing of it runs until you say so."),
        "regen.trust_project", "Show and Allow…", "LOCKED",
    )  # fmt: skip


def trouble(error: RegenError) -> Message:
    return Message("trouble", tuple(filter(None, (error.what, error.hint))), "regen.refresh", "Try Again", "FILE_REFRESH")
