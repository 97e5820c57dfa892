"""The one live session: the project of the open .blend, as regen-vcs last told of it.

Jobs refresh it, drawing reads it. Nothing here knows Blender: `handlers.py` says which file is open, `timers.py` calls `poll`, and
listeners bring changes to datablocks. Everything here runs on the main thread.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from . import messages
from .answers import Answers
from .bridge import Absent, Bridge, Command, RegenError, find_bundled, find_command, find_root
from .deeds import Deed, Deeds
from .details import Detail
from .forms import Field, fields_of
from .jobs import Jobs
from .listing import Row, rows_of
from .messages import Message
from .questions import Questions, note_quietly
from .queue_view import Batch
from .remembered import Remembered
from .sidecars import read_sidecar
from .vault import Chosen
from .vault_recipes import recipes_in
from .watching import Watch, is_set_up

# Seconds between two looks at everything, where nothing gives a sign.
FULL_LOOK = 30.0
MAX_NOTICES = 6

_log = logging.getLogger(__name__)


class Notice(NamedTuple):
    """Something to be read once. level: "INFO", "WARNING" or "ERROR"; part: the panel in which it is repeated ("version", "storage"), "" for none."""

    level: str
    text: str
    hint: str = ""
    part: str = ""


class Session(Answers, Deeds):
    """See the module. `listeners`: {event: functions}; events are "rows", "changed" (with paths), "detail", "looked", "generators", "trouble"."""

    def __init__(self, *, folders: Sequence[str] = ()):
        self.folders = tuple(folders)
        self.jobs = Jobs()
        # Of projects that were left while something was at work there: nobody listens to them any more.
        self._left: list[Jobs] = []
        self.questions = Questions(self.jobs)
        self.root: str | None = None
        self.bridge: Bridge | None = None
        self.listeners: dict[str, list[Callable[..., None]]] = {}
        self._clear("", "")

    def _clear(self, blend: str, preference: str) -> None:
        self.opened = False
        self.version = ""
        self.questions.leave()
        self.questions = Questions(self.jobs)
        self.blend, self.preference = blend, preference
        self.root, self.bridge = None, None
        self.message: Message | None = messages.LOOKING
        self.rows: list[Row] = []
        self.by_path: dict[str, Row] = {}
        self.counts = ""
        self.short_names: dict[str, str] = {}
        self.outdated_count = 0
        self.missing_paths: list[str] = []
        self._told: dict[str, Any] = {}
        self.revision = 0
        self.looked = False
        self.batch = Batch()
        self.deeds: list[Deed] = []
        self.notices: list[Notice] = []
        self.selected = ""
        self.details: dict[str, Detail] = {}
        self.schemas: dict[str, list[Field]] = {}
        # {generator: why its schema could not be had}
        self.no_schemas: dict[str, str] = {}
        self.generators: list[dict[str, Any]] = []
        self.branches: list[str] = []
        self.branch = ""
        self.trust: dict[str, Any] = {}
        self.documents: dict[str, Any] = {}
        self.remembered: list[Remembered] = []
        self.outdated_models: list[str] = []
        self.vault_reader: Callable[[], Chosen | None] = lambda: None
        self._vault: dict[str, dict[str, Any]] | None = None
        self.watch: Watch | None = None
        self._waiting: dict[str, list[Callable[[], None]]] = {}
        self._full_look = 0.0
        self._dependants: dict[str, list[str]] = {}

    # ---------------------------------------------------------------------------------------------- opening, closing

    def open(self, blend: str, preference: str = "") -> None:
        """Follow the project of a .blend: "" for one that was never saved. What is at work in the same project goes on; in another one it ends."""
        root = find_root(os.path.dirname(blend)) if blend else None
        if root is not None and root == self.root and self.bridge is not None:
            at_work = self.deeds, self.batch
            self._clear(blend, preference)
            self.deeds, self.batch = at_work
        else:
            left = [deed.title for deed in self.deeds]
            if left:
                # Hours of work, maybe: it goes on to its end, and is there when that project is opened again.
                self._left.append(self.jobs)
                self.jobs = Jobs()
            elif self.jobs.running:
                self.jobs.shut_down(timeout=1.0)
                self.jobs = Jobs()
            where = self.root
            self._clear(blend, preference)
            if left:
                self.note("INFO", f"{', '.join(left[:3])}: goes on in the project you left", str(where))
        self.opened, self.root = True, root
        try:
            command = find_command(preference, find_bundled(), project=self.root, folders=self.folders)
        except Absent as error:
            self.message = messages.absent(error)
            return
        self.bridge = Bridge(command, self.root)
        self.questions = Questions(self.jobs, self.bridge, self.root)
        if not blend:
            self.message = messages.UNSAVED
        elif self.root is None:
            self.message = messages.NO_REPOSITORY
        else:
            self.watch = Watch(self.root)
            self._check_version(command)

    def _check_version(self, command: Command) -> None:
        argv = (*command.argv, "--version")
        self.questions.start("version", "asking for the version", argv, self._take_version, self._take_trouble, at_root=False)

    def _take_version(self, text: str) -> None:
        if not text.startswith("regen-vcs "):
            self._take_trouble(RegenError("garbled", f"{self.bridge.command.argv[0]} is not regen-vcs", "see its path in the preferences"))
            return
        self.version = text.partition(" ")[2].strip()[:40]
        if self.root and not is_set_up(self.root):
            self.message = messages.NOT_SET_UP
        else:
            self.refresh()
            self.refresh_trust()
        self.refresh_generators()
        self.refresh_branches()

    def close(self) -> None:
        """End every child. The session is of no use afterwards."""
        for jobs in (self.jobs, *self._left):
            jobs.shut_down()
        self.listeners.clear()

    @property
    def usable(self) -> bool:
        """Whether there is a project that assets can be asked of."""
        return self.bridge is not None and self.root is not None and (self.message is None or self.message.kind in ("not_trusted", "trouble", "looking"))

    @property
    def busy(self) -> bool:
        return bool(self.deeds or self.batch.jobs)

    # ---------------------------------------------------------------------------------------------------- asking

    def refresh(self) -> None:
        """Ask for everything that `status` knows; at most one such question at a time."""
        self._full_look = time.monotonic()
        if self.watch:
            self._follow(self.watch.look())
        self.questions.ask("status", "status", on_done=self._take_status, on_error=self._take_trouble)

    def refresh_queue(self) -> None:
        self.questions.ask("queue", "queue", on_done=self._take_queue)

    def ask_trust(self, slot: str, then: Callable[[Any], None]) -> None:
        """What could run here, and what of it is not allowed: an answer that comes with an error where something is not."""
        self.questions.ask(slot, "trust", on_done=then, on_error=lambda error: self._take_no_trust(error, then))

    def _take_no_trust(self, error: RegenError, then: Callable[[Any], None]) -> None:
        if error.kind == "invalid":
            # What regen.toml says of generators cannot be read: their assets would seem outdated, and nobody would know why.
            self.note("ERROR", error.what, error.hint)
        elif error.document:
            then(error.document)
        else:
            note_quietly(error)

    def refresh_trust(self) -> None:
        self.ask_trust("trust", self._take_trust)

    def refresh_working_set(self) -> None:
        self.questions.ask("workset", "workset", "show", on_done=lambda document: self.documents.update(workset=document))

    def refresh_branches(self) -> None:
        self.questions.ask_git("branches", "for-each-ref", "--format=%(HEAD)%(refname:short)", "--sort=-committerdate", "--count=200", "refs/heads", on_done=self._take_branches)

    def select(self, path: str) -> None:
        """Make one asset the selected one, and ask for what is known of it."""
        self.selected = path
        row = self.by_path.get(path)
        if row is None:
            return
        self.questions.ask(f"show {path}", "show", "--", path, on_done=self._take_detail)
        if row.generator:
            self.need_schema(row.generator)

    def need_schema(self, generator: str, then: Callable[[], None] | None = None) -> None:
        """Have `schemas[generator]`; `then` is called when it is there, at once if it is already, or when `no_schemas` tells why not."""
        if generator in self.schemas:
            if then:
                then()
            return

        def take(document: Any) -> None:
            self.schemas[generator] = fields_of(document)
            self.tell("detail", self.selected)
            for each in self._waiting.pop(generator, ()):
                each()

        def fail(error: RegenError) -> None:
            self.no_schemas[generator] = error.what
            note_quietly(error)
            for each in self._waiting.pop(generator, ()):
                each()

        self._waiting.setdefault(generator, []).extend([then] if then else [])
        slot = f"schema {generator}"
        if self.bridge and not self.questions.is_asking(slot):
            self.no_schemas.pop(generator, None)
            self.questions.ask_text(slot, "schema", "--", generator, on_done=take, on_error=fail, as_json=True)

    def note(self, level: str, text: str, hint: str = "", part: str = "") -> None:
        """Something to be read; the same again is said once."""
        notice = Notice(level, text, hint, part)
        self.notices = [*[each for each in self.notices if each != notice][-MAX_NOTICES + 1 :], notice]
        _log.log({"ERROR": logging.ERROR, "WARNING": logging.WARNING}.get(level, logging.INFO), "%s%s", text, f" ({hint})" if hint else "")
        self.tell("notice")

    # ---------------------------------------------------------------------------------------------------- the pulse

    def poll(self) -> None:
        """Look whether something has moved; called every few seconds from a timer. Cheap: some calls of `stat`."""
        if self.watch is None or not self.looked:
            return
        if self.busy or any(row.state in ("queued", "running") for row in self.rows):
            self.refresh_queue()
        moved = self.watch.look()
        self._follow(moved)
        if moved or time.monotonic() - self._full_look > FULL_LOOK:
            self.refresh()

    def _follow(self, moved: set[str]) -> None:
        """What has to be asked anew where these files have moved."""
        if "head" in moved:
            self.refresh_branches()
        if "project" in moved:
            self.schemas.clear()
            self.refresh_trust()
            self.refresh_generators()

    def refresh_generators(self) -> None:
        self.questions.ask("generators", "schema", on_done=self._take_generators)

    def wait(self, timeout: float = 600) -> bool:
        """Headless: until every job is through, those that they start included. False if it takes longer than `timeout` seconds."""
        return self.jobs.wait(timeout)

    def hear(self, event: str, listener: Callable[..., None]) -> None:
        self.listeners.setdefault(event, []).append(listener)

    def tell(self, event: str, *args: Any) -> None:
        """A listener that fails keeps nobody else from hearing."""
        for listener in self.listeners.get(event, ()):
            try:
                listener(*args)
            except Exception:
                _log.exception("a listener of %s failed", event)

    # -------------------------------------------------------------------------------------------------- small answers

    def dependants(self, path: str) -> list[str]:
        """The assets that are made from this one, directly."""
        return self._dependants.get(path, [])

    def absolute(self, path: str) -> str:
        """The absolute path of a path of the repository."""
        return os.path.join(self.root or "", *path.split("/"))

    def frames_of(self, path: str) -> str:
        """The range of a sequence's frames, "1-48"; "" for other assets."""
        output = read_sidecar(self.absolute(path)).get("output") if self.root else None
        frames = output.get("frames") if isinstance(output, dict) else None
        return frames if isinstance(frames, str) else ""

    def show_remembered(self) -> None:
        """Without a project: the assets as the .blend remembers them."""
        self.rows = rows_of({"assets": [{"path": each.path, "state": each.state, "output": each.hash} for each in self.remembered]})
        self.by_path = {row.path: row for row in self.rows}
        self.revision += 1
        self.tell("rows")

    def vault_recipes(self) -> dict[str, dict[str, Any]]:
        """{asset: its recipe} of the .blend's vault, read once."""
        if self._vault is None:
            chosen = self.vault_reader()
            self._vault = recipes_in(chosen.export) if chosen else {}
        return self._vault

    def missing(self) -> list[str]:
        return [row.path for row in self.rows if row.state == "missing"]


_live: Session | None = None
_opener: Callable[[], None] | None = None


def start(*, folders: Sequence[str] = (), opener: Callable[[], None] | None = None) -> Session:
    """Begin the session of this Blender; one that was left is closed. opener: called when it is first asked for, to open it."""
    global _live, _opener
    stop()
    _live, _opener = Session(folders=folders), opener
    return _live


def stop() -> None:
    global _live
    if _live is not None:
        _live.close()
        _live = None


def get() -> Session:
    """The live session; one of no project where the addon is not registered."""
    global _live
    if _live is None:
        _live = Session()
    elif not _live.opened and _opener is not None:
        _opener()
    return _live
