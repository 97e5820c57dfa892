"""`regen-vcs trust`."""

from __future__ import annotations

import shutil
import sys

import click

from regen_vcs.cli.terminal import note, print_json, say, workspace
from regen_vcs.engine.consent import Candidate, Consent, revoke
from regen_vcs.errors import NotTrusted, UsageError

# Of a pipe's reader nobody knows how much it can take; a terminal gets everything, through a pager.
_PIPE_LINES = 2000


@click.command("trust")
@click.option("--yes", "-y", is_flag=True, help="Trust it without asking: for scripts.")
@click.option("--as-shown", "shown", metavar="DIGEST", help="With --yes: only if it is still what --json called by this digest.")
@click.option("--revoke", "take_back", is_flag=True, help="Trust nothing of this repository any more.")
@click.option("--json", "as_json", is_flag=True, help="What could run, as JSON; never asks.")
def trust_command(yes: bool, shown: str | None, take_back: bool, as_json: bool) -> int:
    """Show what could run in this repository (generators, their code, inputs that are programs), and allow it.

    What you trust runs as you, with your files and your network. It is noted by hash, in your own configuration
    folder: one changed byte asks again.

    \b
    Example: regen-vcs trust
    """
    if take_back and yes:
        raise UsageError("trust: --yes and --revoke contradict each other", "say one of them")
    if shown is not None and not yes:
        raise UsageError("trust: --as-shown goes with --yes", "to look: regen-vcs trust --json")
    with workspace() as ws:
        if take_back:
            return _revoke(revoke(ws), as_json)
        consent = Consent(ws)
        untrusted = consent.untrusted
        if shown is not None and shown != consent.digest:
            raise NotTrusted("what could run here is not what was shown; nothing was trusted", "look again: regen-vcs trust")
        if as_json:
            return _answer_json(consent, untrusted, yes)
        _show(consent, in_full=not yes)
        if not untrusted:
            say("nothing to trust: nothing could run here" if not consent.candidates else "all of it is trusted already")
            return 0
        if not yes:
            _ask(len(untrusted))
        consent.give()
        say(f"trusted {_files(len(untrusted))}; take it back with: regen-vcs trust --revoke")
    return 0


def _revoke(count: int, as_json: bool) -> int:
    if as_json:
        print_json({"revoked": count})
    else:
        say(f"revoked the trust in {_files(count)}" if count else "nothing was trusted")
    return 0


def _ask(count: int) -> None:
    """NotTrusted unless the user says yes; somebody must be there to say it."""
    if not sys.stdin.isatty():
        raise NotTrusted(f"{_files(count)} not trusted, and nobody to ask: this is no terminal",
                         "look at them, then: regen-vcs trust --yes")
    if not click.confirm(f"Let {_files(count)} run on this machine?", err=True):
        raise NotTrusted("nothing was trusted")


def _show(consent: Consent, *, in_full: bool) -> None:
    if consent.problem:
        note(f"warning: {consent.problem.what}")
    generators = consent.generators()
    if generators:
        say("regen.toml defines:")
        for each in generators:
            say(f"  {each['name']}")
            for line in generator_lines(each["table"], each["code"]):
                say(f"    {line}")
    for name, table in sorted(consent.suggested_remotes().items()):
        say(f"suggests the remote {name}: {table.get('url')}  (not used: it is for you to add)")
    for each in consent.candidates:
        say(_candidate_line(each))
    if in_full:
        _print_long("".join(consent.text_of(item) for item in consent.untrusted))


def generator_lines(table: dict, code: list[str]) -> list[str]:
    """What a generator would run or contact, and with which of the user's secrets."""
    lines = []
    if "argv" in table:
        lines.append("runs      " + " ".join(_word(each) for each in table["argv"]))
    if "program" in table:
        lines.append("program   " + " ".join(_word(str(each)) for each in [table["program"], *table.get("args", [])]))
    if table.get("servers"):
        lines.append("contacts  " + ", ".join(table["servers"]))
    if code:
        lines.append("code      " + ", ".join(code))
    if table.get("env"):
        lines.append("is given  " + ", ".join(table["env"]) + "  (of your environment)")
    if table.get("paid"):
        lines.append("costs money")
    return lines


def _word(text: str) -> str:
    return text if text and all(c.isalnum() or c in "-_./{}:=" for c in text) else repr(text)


def _candidate_line(each: Candidate) -> str:
    where = "  (as staged)" if each.staged else ""
    kind = "file" if each.item.kind == each.item.path else each.item.kind
    return f"{each.change:<8} {kind:<6} {each.item.path}{where}  blake3:{each.item.hash[:12]}…"


def _print_long(text: str) -> None:
    """Text that is safe to print already: through a pager where it is longer than the terminal."""
    lines = text.splitlines(keepends=True)
    if sys.stdout.isatty():
        if len(lines) > shutil.get_terminal_size().lines - 4:
            click.echo_via_pager(text)
        else:
            print(text, end="")
        return
    print("".join(lines[:_PIPE_LINES]), end="")
    if len(lines) > _PIPE_LINES:
        print(f"… and {len(lines) - _PIPE_LINES} more lines: look at the files themselves")


def _answer_json(consent: Consent, untrusted: list, yes: bool) -> int:
    """What could run; with `yes` it is trusted. Where something is left untrusted, the error stands beside it."""
    if yes:
        consent.give()
    document = {
        "trusted": yes or not untrusted,
        "digest": consent.digest,
        "generators": consent.generators(),
        "items": [
            {"kind": each.item.kind, "path": each.item.path, "hash": f"blake3:{each.item.hash}",
             "change": each.change, "staged": each.staged}
            for each in consent.candidates
        ],
        "difference": "" if yes else "".join(consent.text_of(item) for item in untrusted),
        "suggested_remotes": consent.suggested_remotes(),
    }
    if document["trusted"]:
        print_json(document)
        return 0
    error = NotTrusted(f"{_files(len(untrusted))} not trusted", "look at them, then: regen-vcs trust --yes")
    print_json(document | error.to_json())
    return error.exit_code


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
