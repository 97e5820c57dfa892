"""Runs inside Blender: the request it was started for, and what it answers.

The request is a JSON file named by the environment; answers are JSON lines at the end of the file that the request
names as `events`. Nothing that Blender or an add-on prints can be taken for an answer.
"""

from __future__ import annotations

import json
import os
import traceback

import bpy


class Failure(Exception):
    """Why it cannot be done, for people: one line, and what mends it."""

    def __init__(self, what, hint=None):
        super().__init__(what)
        self.what, self.hint = what, hint


class Answers:
    def __init__(self, path):
        self._path = path

    def say(self, event, **fields):
        # Opened for each line: every line is whole for whoever reads along, also after a crash.
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"event": event, **fields}) + "\n")


def serve(work):
    """Read the request, do `work(request, answers)`, and end with "done" (what it returned) or "failed"."""
    with open(os.environ["REGEN_BLENDER_REQUEST"], encoding="utf-8") as file:
        request = json.load(file)
    answers = Answers(request["events"])
    try:
        result = work(request, answers)
    except Failure as failure:
        answers.say("failed", what=failure.what, hint=failure.hint)
    except Exception as error:
        traceback.print_exc()
        answers.say("failed", what=f"{type(error).__name__}: {_one_line(error)}", hint=None)
    else:
        answers.say("done", version=bpy.app.version_string, **result)


def open_blend(path):
    """Open a .blend without its window layout, and without running what is in it."""
    try:
        bpy.ops.wm.open_mainfile(filepath=path, load_ui=False, use_scripts=False)
    except RuntimeError as error:
        # Blender reports broken links the same way; then the file is open all the same.
        if os.path.realpath(bpy.data.filepath or os.curdir) != os.path.realpath(path):
            raise Failure(f"Blender {bpy.app.version_string} cannot open it: {_one_line(error)}",
                          "a file of a newer Blender needs that Blender: `program` in regen.toml") from None


def reason_of(error):
    """What an operator's RuntimeError says, without its ornaments."""
    return _one_line(error).removeprefix("Error: ")


def _one_line(error):
    return " ".join(str(error).split())[:500]
