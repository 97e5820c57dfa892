"""The front door: what must start fast is dispatched here by hand, the rest goes to click.

One handler turns the one error tree into what the user reads, and into the exit code.
"""

from __future__ import annotations

import _signal  # `signal` builds enums at import, which a hook need not pay for
import gc
import os
import sys

from regen_vcs.errors import Interrupted, RegenError

# Commands that git runs, or people run all the time: no click, no rich, no pydantic on their way.
_PLUMBING = ("hook", "filter-process", "merge-driver", "textconv")


def run(argv: list[str] | None = None) -> None:
    """Entry point of `regen-vcs` and `git regen`."""
    argv = sys.argv[1:] if argv is None else argv
    if "PYTHONIOENCODING" not in os.environ and hasattr(sys.stdout, "reconfigure"):
        # Names of assets are bytes to git: one that is not UTF-8 must still print.
        sys.stdout.reconfigure(errors="surrogateescape")
        sys.stderr.reconfigure(errors="backslashreplace")
    try:
        code = _guarded(argv)
        _stop_handling()
    except KeyboardInterrupt:  # another one, while the first was said
        _stop_handling()
        code = Interrupted.exit_code
    _flush()
    # Generators' threads and children are gone by now; skipping the interpreter's teardown saves 5 ms a hook.
    sys.stderr.flush()
    os._exit(code)


def _stop_handling() -> None:
    """From here on nobody handles ^C or SIGTERM: all is done, and they end us as they end any program, even where a pipe is full."""
    for number in (_signal.SIGINT, _signal.SIGTERM):
        if callable(_signal.getsignal(number)):
            _signal.signal(number, _signal.SIG_DFL)


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _to_nowhere()


def _to_nowhere() -> None:
    """The reader (`| head`) has left: what is still to be printed goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _guarded(argv: list[str]) -> int:
    try:
        if _signal.getsignal(_signal.SIGINT) == _signal.SIG_DFL:  # see __main__.py
            _signal.signal(_signal.SIGINT, _signal.default_int_handler)
        return dispatch(argv)
    except RegenError as error:
        return report(error, as_json="--json" in argv)
    except KeyboardInterrupt:
        return report(Interrupted("interrupted"), as_json="--json" in argv)
    except BrokenPipeError:
        _to_nowhere()
        return 0
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        return report(RegenError(what), as_json="--json" in argv)


def dispatch(argv: list[str]) -> int:
    """Run one command; its exit code."""
    command = argv[0] if argv else ""
    if command == "--version":
        from regen_vcs import __version__

        print(f"regen-vcs {__version__}")
        return 0
    gc.disable()  # none of these lives long or leaves cycles; looking for some costs 5,000 assets 50 ms
    if command in _PLUMBING:
        from regen_vcs.cli import plumbing

        return plumbing.main(command, argv[1:])
    if command == "status" and all(word in ("--json", "--exit-code") for word in argv[1:]):
        from regen_vcs.cli import status

        return status.main(argv[1:])
    if command == "queue" and all(word == "--all" for word in argv[1:]):
        from regen_vcs.cli import queue_list

        return queue_list.main(argv[1:])
    gc.enable()
    from regen_vcs.cli import commands

    return commands.main(argv)


def report(error: RegenError, *, as_json: bool = False) -> int:
    """Say one error; its exit code."""
    if as_json:
        print(json_text(error.to_json()))
    else:
        _flush()  # what was said before comes before
        print(f"error: {one_line(error.what)}", file=sys.stderr)
        if error.hint:
            print(f"  hint: {one_line(error.hint)}", file=sys.stderr)
    return error.exit_code


def printable(text: str) -> str:
    """Text with its control characters spelt out: names from a hostile repository must not drive the terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def one_line(text: str) -> str:
    """The same with its line breaks spelt out too: a name must not look like a second message."""
    return printable(text).replace("\n", "\\n")


def json_text(document: object) -> str:
    """JSON that is UTF-8 whatever names are in it, and as harmless to a terminal as any other text of ours."""
    import json

    text = json.dumps(document, ensure_ascii=False, indent=1)
    if text.replace("\n", "").isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)
