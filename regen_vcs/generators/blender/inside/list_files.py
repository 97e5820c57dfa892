"""Runs inside Blender: tells which files the .blend needs besides itself."""

from __future__ import annotations

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import linked_files  # noqa: E402 - found beside this file
import talking  # noqa: E402


def list_files(request, answers):
    talking.open_blend(request["blend"])
    for each in linked_files.references():
        wanted = each.wanted()
        answers.say(
            "linked",
            kind=each.kind,
            owner=each.owner,
            stored=each.stored,
            files=[path for path in wanted if os.path.isfile(path)],
            missing=[path for path in wanted if not os.path.isfile(path)],
        )
    return {}


talking.serve(list_files)
