"""How a project stands on this machine, asked once it is open: whether git knows who takes snapshots, and whether what `init` set up still is there.

Nothing here knows Blender.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from . import messages, snapshot_words
from .bridge import RegenError
from .messages import Message
from .state import Session

_WHO = r"^(user|author|committer)\.(name|email)$"
# git takes these characters out of a name, or refuses it.
_NOT_IN_NAMES = re.compile(r"[<>\x00-\x1f\x7f]")


def ask(session: Session) -> None:
    """Listener of "looked"."""
    ask_who(session)
    session.questions.ask("doctor", "doctor", on_done=lambda document: _take_doctor(session, document))


def follow_rows(session: Session) -> None:
    """Listener of "rows": what a snapshot might be refused for."""
    session.documents["snapshot_warning"] = snapshot_words.warning(session.rows)


def ask_who(session: Session) -> None:
    def take(text: str) -> None:
        session.documents["who"] = dict(line.partition(" ")[::2] for line in text.splitlines())
        session.tell("queue")

    def none(error: RegenError) -> None:
        # git's answer where nothing is set.
        if error.exit_code == 1:
            take("")

    session.questions.ask_git("who", "config", "--get-regexp", _WHO, on_done=take, on_error=none)


def lacks_who(session: Session) -> bool:
    """Whether git is known not to know who takes a snapshot: it would refuse it, or make up a name."""
    known = session.documents.get("who")
    if known is None or session.bridge is None:
        return False
    environ = session.bridge.environ
    return not all(_has(known, environ, person, part) for person in ("author", "committer") for part in ("name", "email"))


def _has(known: Mapping[str, str], environ: Mapping[str, str], person: str, part: str) -> bool:
    told = (environ.get(f"GIT_{person.upper()}_{part.upper()}"), known.get(f"{person}.{part}"), known.get(f"user.{part}"), part == "email" and environ.get("EMAIL"))
    return any(told)


def wrong_with_who(name: str, email: str) -> str:
    """What keeps these from being a name and an e-mail address that git takes; "" for nothing."""
    if not any(char.isalnum() for char in name) or _NOT_IN_NAMES.search(name):
        return "Say your name, as it shall stand in the snapshots"
    if not re.fullmatch(r"[^\s<>@\x00-\x1f]+@[^\s<>@\x00-\x1f]+", email):
        return "Say your e-mail address, as it shall stand in the snapshots: name@example.com"
    return ""


def _take_doctor(session: Session, document: Any) -> None:
    """Whether something is gone that `init` puts in place: another regen-vcs or Blender was removed, or somebody took the hooks away."""
    found = document.get("findings") if isinstance(document, Mapping) else None
    session.documents["set_up_again"] = any(map(_is_mended_by_init, found)) if isinstance(found, list) else False
    session.tell("queue")


def _is_mended_by_init(finding: Any) -> bool:
    return isinstance(finding, Mapping) and finding.get("level") == "problem" and finding.get("mend") == "regen-vcs init"


def set_up_again(session: Session) -> Message | None:
    """What to read where a set-up is not whole any more."""
    return messages.SET_UP_AGAIN if session.usable and session.documents.get("set_up_again") else None
