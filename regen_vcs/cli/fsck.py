"""`regen-vcs fsck`."""

from __future__ import annotations

import os
import sys

import click

from regen_vcs.cli.terminal import note, print_json, say
from regen_vcs.engine import fsck
from regen_vcs.engine.finding import count
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import CorruptionError, UsageError

_WORDS = {"healed": "stored again from the working tree", "regenerate": "can be made again", "nowhere": "is nowhere to be had"}


@click.command("fsck")
@click.option("--json", "as_json", is_flag=True, help="Everything found, as JSON.")
def fsck_command(as_json: bool) -> int:
    """Re-hash every object in keep and cache; say what is wrong, what of this repository it hurts, how it comes back.

    Objects whose bytes are not what their name says go into quarantine and are never used. What the working tree
    still has is stored again. The exit code is 6 where anything was damaged, even if it could be mended.

    \b
    Example: regen-vcs fsck
    """
    with _Progress() as progress:
        examined = _examine(progress)
    if as_json:
        print_json(_document(examined))
    else:
        _print(examined)
    return CorruptionError.exit_code if fsck.is_corrupt(examined) else 0


def _examine(progress) -> fsck.Examination:
    """Everything in a repository; the stores alone outside of one."""
    try:
        ws = Workspace.open(os.getcwd(), os.environ)
    except UsageError as error:
        stores = fsck.open_stores(os.getcwd(), os.environ)
        note(f"{error.what}: the stores alone are checked")
        return fsck.examine_stores(stores, progress)
    try:
        return fsck.examine(ws, progress)
    finally:
        ws.close()


def _print(examined: fsck.Examination) -> None:
    report = examined.store
    for bad in report.bad:
        say(f"damaged: object {bad.hash[:12]}… in {bad.store}; it is in quarantine now")
    for hash, store, reason in report.unreadable:
        say(f"unreadable: object {hash[:12]}… in {store}: {reason}")
    for path in report.broken_records:
        say(f"no record: {path}; it is never used")
    for loss in examined.losses:
        word = "damaged" if loss.damaged else "missing"
        how = f": {loss.how}" if loss.how else ""
        say(f"{word}: {loss.path} {_WORDS.get(loss.comes_back, loss.comes_back)}{how}")
    say(_summary(examined))


def _summary(examined: fsck.Examination) -> str:
    report = examined.store
    parts = [f"{count(report.checked, 'object')} ({report.bytes / 1e6:,.1f} MB) checked"]
    if report.removed:
        parts.append(f"{count(len(report.removed), 'temporary file')} of dead processes removed")
    if report.bad or report.unreadable:
        parts.append(f"{len(report.bad) + len(report.unreadable)} damaged")
    if examined.healed:
        parts.append(f"{len(examined.healed)} stored again from the working tree")
    lost = [loss for loss in examined.losses if loss.comes_back != fsck.HEALED]
    if lost:
        parts.append(f"{count(len(lost), 'accepted output')} of this repository in no store")
    if len(parts) == 1:
        parts.append("all is well")
    return ", ".join(parts)


def _document(examined: fsck.Examination) -> dict:
    report = examined.store
    return {
        "checked": report.checked,
        "bytes": report.bytes,
        "damaged": [each._asdict() for each in report.bad],
        "unreadable": [{"hash": hash, "store": store, "reason": reason} for hash, store, reason in report.unreadable],
        "broken_records": report.broken_records,
        "temporaries": {"removed": report.removed, "left": report.stray},
        "assets": [each._asdict() for each in examined.losses],
        "healed": sorted(examined.healed),
    }


class _Progress:
    """How many objects and bytes were looked at, on a terminal; nothing in a pipe."""

    def __enter__(self):
        self._status = None
        if sys.stderr.isatty():
            from rich.console import Console

            self._status = Console(stderr=True).status("checking the stores")
            self._status.start()
        self._shown = 0
        return self

    def __exit__(self, *_: object) -> None:
        if self._status:
            self._status.stop()

    def __call__(self, objects: int, size: int) -> None:
        if self._status and objects - self._shown >= 20:  # more often than people can read would only cost
            self._shown = objects
            self._status.update(f"{objects:,} objects, {size / 1e9:,.2f} GB checked")
