"""`regen-vcs du`."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from datetime import UTC, datetime

import click

from regen_vcs.cli.main import one_line
from regen_vcs.cli.terminal import Wanted, print_json, workspace
from regen_vcs.engine.status import survey
from regen_vcs.engine.usage import FOLDER, GROUPINGS, Bytes, Group, Usage, usage
from regen_vcs.model.quantities import human_duration, human_size

_COLUMNS = (("on disk", "on_disk"), ("keep", "keep"), ("cache", "cache"), ("trash", "trash"), ("only copy", "only_copy"))
_BAR = 12
_SCREENFUL = 40
_PIPE_WIDTH = 10_000  # nothing is cut in a pipe


@click.command("du")
@click.argument("paths", nargs=-1)
@click.option("--by", "grouping", type=click.Choice(GROUPINGS), default=FOLDER, show_default=True, help="What a line stands for.")
@click.option("--json", "as_json", is_flag=True, help="Everything, in bytes, as JSON.")
def du_command(paths: tuple[str, ...], grouping: str, as_json: bool) -> int:
    """Show where the bytes are, and what keeping recipes instead of media has saved.

    A line for each folder, generator, model or state: what its recipes accept, and how much of that lies in the working tree
    and in each store. "only copy" is what is in one place and not proven to come back: regen-vcs push, or regen-vcs
    verify. The counts of the cache are of this repository on this machine, and are never sent anywhere.

    \b
    Examples:
      regen-vcs du shots
      regen-vcs du --by generator
    """
    with workspace() as ws:
        wanted = Wanted(ws, paths)
        found = usage(ws, survey(ws), wanted, grouping)
        if paths:
            wanted.require_some()
    if as_json:
        print_json(_document(found))
    else:
        _print(found)
    return 0


def _print(found: Usage) -> None:
    from rich.console import Console

    is_terminal = sys.stdout.isatty()
    console = Console(highlight=False, width=None if is_terminal else _PIPE_WIDTH, no_color=bool(os.environ.get("NO_COLOR")) or None)
    if not found.total.assets:
        print("no assets yet: regen-vcs generate, or regen-vcs add")
    else:
        console.print(_table(found, is_terminal))
    for name, told in _facts(found):
        console.print(f"[dim]{name:>9}[/dim]  {told}" if is_terminal else f"{name:>9}  {told}", markup=is_terminal)


def _table(found: Usage, is_terminal: bool):
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD if is_terminal else None, pad_edge=False, header_style="dim", show_footer=len(found.groups) > 1, footer_style="bold")
    columns = [(title, name) for title, name in _COLUMNS if name in ("on_disk", "keep") or getattr(found.total, name)]
    table.add_column(found.grouping, "all", no_wrap=True, overflow="ellipsis", min_width=12)
    table.add_column("assets", f"{found.total.assets:,}", justify="right", no_wrap=True)
    table.add_column("accepted", human_size(found.total.accepted), justify="right", no_wrap=True)
    if is_terminal:
        table.add_column("", "", no_wrap=True, width=_BAR)
    for title, name in columns:
        style = "yellow" if name == "only_copy" else None
        table.add_column(title, human_size(getattr(found.total, name)), justify="right", no_wrap=True, style=style)
    largest = max((group.bytes.accepted for group in found.groups), default=0)
    shown = found.groups[:_SCREENFUL] if is_terminal else found.groups
    for group in shown:
        bar = [Text(_bar(group.bytes.accepted, largest), style="cyan")] if is_terminal else []
        cells = [_cell(getattr(group.bytes, name)) for _, name in columns]
        table.add_row(Text(one_line(group.name)), f"{group.bytes.assets:,}", human_size(group.bytes.accepted), *bar, *cells)
    if len(shown) < len(found.groups):
        rest = Bytes()
        for group in found.groups[_SCREENFUL:]:
            rest.add(group.bytes)
        cells = [_cell(getattr(rest, name)) for _, name in columns]
        table.add_row(f"… {len(found.groups) - _SCREENFUL} more", f"{rest.assets:,}", human_size(rest.accepted), "", *cells)
    return table


def _cell(size: int) -> str:
    return human_size(size) if size else "-"


def _bar(size: int, largest: int) -> str:
    """A bar in eighths of a character."""
    eighths = round(size / largest * _BAR * 8) if largest else 0
    return "█" * (eighths // 8) + ("", *"▏▎▍▌▋▊▉")[eighths % 8]


def _facts(found: Usage) -> list[tuple[str, str]]:
    """What stands below the table: (a word, what is to be said of it)."""
    git, tally, stores = found.git, found.tally, found.stores
    lines = []
    if git.media:
        unknown = f"; {git.missing} objects of a partial clone are not counted" if git.missing else ""
        lines.append(("git", f"{human_size(git.holds)} instead of {human_size(git.holds + git.media)} with {_count(git.versions, 'version')} of the media in it: {_percent(git.saved)} less{unknown}"))
    parts = [f"keep {human_size(stores.keep)}", f"cache {human_size(stores.cache)}"]
    parts += [f"{name} {human_size(size)}" for name, size in (("trash", stores.trash), ("quarantine", stores.quarantine)) if size]
    spares = f"; spares of this worktree {human_size(stores.spares)}" if stores.spares else ""
    lines.append(("stores", f"{', '.join(parts)} in {_count(stores.objects, 'object')}, of all repositories{spares}"))
    if tally.hit_rate is not None:
        saved = f"; about {human_duration(found.seconds_saved)} of making saved" if found.seconds_saved >= 1 else ""
        lines.append(("cache", f"had {tally.hit_count:,} of {tally.hit_count + tally.missed_count:,} that were wanted ({_percent(tally.hit_rate)}){saved}"))
    if tally.success_rate is not None:
        runs = tally.made_count + tally.failed_count
        lines.append(("making", f"{tally.made_count:,} of {_count(runs, 'run')} went well ({_percent(tally.success_rate)})"))
    if tally.since is not None:
        lines.append(("since", datetime.fromtimestamp(tally.since, UTC).strftime("%Y-%m-%d") + "; counted here, and sent nowhere"))
    return lines


def _percent(share: float) -> str:
    """Rounded down, so that only all of it is 100 %."""
    tenths = int(share * 1000)
    return "100 %" if share >= 1 else f"{tenths // 10} %" if tenths % 10 == 0 else f"{tenths / 10:.1f} %"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


# -- JSON ------------------------------------------------------------------------------------------------------------


def _document(found: Usage) -> dict:
    tally = found.tally
    return {
        "by": found.grouping,
        "groups": [_group(group) for group in found.groups],
        "total": asdict(found.total),
        "states": found.states,
        "stores": asdict(found.stores),
        "git": asdict(found.git) | {"saved": None if found.git.saved is None else round(found.git.saved, 6)},
        "cache": {
            "since": tally.since and datetime.fromtimestamp(tally.since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "hits": tally.hit_count, "misses": tally.missed_count, "hit_rate": tally.hit_rate,
            "runs": tally.made_count, "failures": tally.failed_count, "success_rate": tally.success_rate,
            "seconds_saved": round(found.seconds_saved, 1),
        },
    }  # fmt: skip


def _group(group: Group) -> dict:
    return {"name": group.name, **asdict(group.bytes)}
