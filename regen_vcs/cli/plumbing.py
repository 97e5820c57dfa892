"""What git runs: hooks, the filter, the merge driver, textconv. No click here: every millisecond is git's.

A post-* hook and the filter exit 0 whatever is missing: a missing asset never fails a git command.
"""

from __future__ import annotations

import os
import sys

from regen_vcs.cli.main import one_line
from regen_vcs.errors import RegenError, UsageError


def main(command: str, argv: list[str]) -> int:
    if command == "hook":
        return _hook(argv)
    if command == "filter-process":
        return _filter_process(argv)
    if command == "merge-driver":
        return _merge_driver(argv)
    return _textconv(argv)


def _hook(argv: list[str]) -> int:
    if not argv:
        raise UsageError("hook: which one?", "regen-vcs hook post-checkout …")
    name, args = argv[0], argv[1:]
    if name == "pre-commit":
        from regen_vcs.cli.check import hook_main

        return hook_main(os.getcwd(), os.environ)
    if name == "pre-push":
        from regen_vcs.engine.pre_push import pre_push

        return _harmless(lambda: pre_push(args, sys.stdin.buffer, os.getcwd(), os.environ))
    from regen_vcs.engine import hooks

    if name == "after-exit":
        hooks.wait_for_exit(args)
    return _harmless(lambda: hooks.after_git(name, args, os.getcwd(), os.environ))


def _filter_process(argv: list[str]) -> int:
    if argv == ["--in-place"]:
        from regen_vcs.engine import in_place_filter

        return _harmless(lambda: in_place_filter.main(os.getcwd(), os.environ, sys.stdin.buffer, sys.stdout.buffer))
    from regen_vcs.engine import filter_loop

    return _harmless(lambda: filter_loop.main(os.getcwd(), os.environ, sys.stdin.buffer, sys.stdout.buffer))


def _harmless(work) -> int:
    """Run what must not fail git: whatever goes wrong becomes one line on stderr."""
    try:
        lines = work()
    except RegenError as error:
        lines = [error.what + (f"; {error.hint}" if error.hint else "")]
    except OSError as error:
        lines = [f"{error.filename}: {error.strerror}" if error.filename else str(error)]
    except Exception as error:  # a defect of ours must not fail the user's git
        if os.environ.get("REGEN_DEBUG"):
            raise
        lines = [f"internal error: {error!r} (REGEN_DEBUG=1 shows where); run: regen-vcs sync"]
    except KeyboardInterrupt:
        lines = ["interrupted; what is missing comes with: regen-vcs sync"]
    for line in lines or ():
        print(f"regen-vcs: {one_line(line)}", file=sys.stderr)
    return 0


def _merge_driver(argv: list[str]) -> int:
    if len(argv) < 3:
        raise UsageError("merge-driver: wants %O %A %B [%L %P]")
    from regen_vcs.git.merge import merge_files
    from regen_vcs.git.run import Git

    size = int(argv[3]) if len(argv) > 3 and argv[3].isdigit() else 7
    conflicts = merge_files(Git(os.getcwd(), os.environ), argv[0], argv[1], argv[2], marker_size=size)
    return 1 if conflicts else 0


def _textconv(argv: list[str]) -> int:
    """A sidecar as `git diff` shows it: canonical text, or as it is where it cannot be read.

    Of an asset in place git may hand us its bytes: then the text is that of their document.
    """
    if len(argv) != 1:
        raise UsageError("textconv: wants one file")
    with open(argv[0], "rb") as file:
        data = file.read()
    from regen_vcs.engine.in_place_filter import looks_like_document, text_of
    from regen_vcs.model.recipe import parse_recipe, recipe_bytes

    try:
        if not argv[0].endswith(".regen.json") and not looks_like_document(data):
            data = text_of(argv[0], data, os.getcwd(), os.environ)
        else:
            data = recipe_bytes(parse_recipe(data, argv[0]))
    except RegenError:
        pass  # shown as it is: a diff of a damaged sidecar must still be a diff
    sys.stdout.buffer.write(data)
    return 0
