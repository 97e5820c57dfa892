"""Runs inside Blender: renders a still, frames of a sequence, or a movie."""

from __future__ import annotations

import os
import re
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import bpy  # noqa: E402
import settings  # noqa: E402 - found beside this file
import talking  # noqa: E402
from bring_home import bring_home  # noqa: E402
from talking import Failure  # noqa: E402

_SAMPLES = re.compile(r"\bSample (\d+)/(\d+)")
_TELL_EVERY = 0.2  # seconds
_NO_DISPLAY = "EEVEE and Workbench need OpenGL: a display, or a Blender that can draw without one; Cycles needs none"


def render(request, answers):
    talking.open_blend(request["blend"])
    bring_home(request["tree"], request["available"], request["spare"])
    scene = settings.choose_scene(request["params"]["scene"])
    settings.apply(scene, request["params"])
    settings.keep_inside(scene)
    device = settings.device_of(scene, request["params"]["device"])
    answers.say("opened", engine=scene.render.engine)
    _tell_samples(answers)
    draw = {"still": _render_still, "sequence": _render_sequence, "movie": _render_movie}[request["kind"]]
    draw(scene, request, answers)
    return {"engine": scene.render.engine, "device": device}


def _render_still(scene, request, answers):
    settings.set_image_format(scene, request["suffix"], request["params"])
    number = request["params"]["frame"]
    _render_frame(scene, scene.frame_current if number is None else number, request["output"], answers)


def _render_sequence(scene, request, answers):
    """One frame after another. The first that fails ends it: what was made stays, the rest is for another run."""
    settings.set_image_format(scene, request["suffix"], request["params"])
    numbers = request["frames"] or list(range(scene.frame_start, scene.frame_end + 1, scene.frame_step))
    answers.say("frames", count=len(numbers))
    for number in numbers:
        _render_frame(scene, number, f"{request['output']}{number}", answers)


def _render_frame(scene, number, path, answers):
    answers.say("started", frame=number)
    scene.frame_set(number)
    scene.render.filepath = path
    _run(scene, number, write_still=True)
    if not os.path.isfile(path):
        beside = ", ".join(sorted(os.listdir(os.path.dirname(path)))[:5])
        raise Failure(f"frame {number}: Blender wrote no such picture{f', but {beside}' if beside else ''}",
                      "several views come out as several files: use one view, or one file for all")
    answers.say("made", frame=number, file=path)


def _render_movie(scene, request, answers):
    settings.set_movie_format(scene, request["suffix"], request["params"])
    if request["frames"]:
        scene.frame_start, scene.frame_end = request["frames"][0], request["frames"][-1]
    scene.frame_step = 1
    answers.say("frames", count=scene.frame_end - scene.frame_start + 1)
    bpy.app.handlers.render_pre.append(lambda *_: answers.say("started", frame=scene.frame_current))
    scene.render.filepath = request["output"]
    _run(scene, None, animation=True)
    # Blender may put the frame range into the name.
    folder = os.path.dirname(request["output"])
    made = os.listdir(folder)
    if len(made) != 1:
        raise Failure(f"Blender wrote {', '.join(sorted(made)) or 'nothing'} where one movie was expected")
    answers.say("made", frame=None, file=os.path.join(folder, made[0]))


def _run(scene, number, **how):
    where = "" if number is None else f"frame {number}: "
    try:
        done = bpy.ops.render.render(scene=scene.name, **how)
    except RuntimeError as error:
        raise Failure(where + talking.reason_of(error), _hint_for(scene, str(error))) from None
    if "FINISHED" not in done:
        raise Failure(f"{where}Blender did not render it", _hint_for(scene, ""))


def _hint_for(scene, reason):
    if "denois" in reason.lower():
        return "this Blender cannot denoise: denoise=false"
    if "camera" in reason.lower():
        return "camera=NAME, or set one in the file"
    return None if scene.render.engine == "CYCLES" else _NO_DISPLAY


def _tell_samples(answers):
    """How far Cycles is with a frame. From 4.x on a handler is told; 3.4 only prints it, and that is read outside."""
    told = [0.0]

    def look(*words):
        found = _SAMPLES.search(next((word for word in words if isinstance(word, str)), ""))
        if found and time.monotonic() - told[0] > _TELL_EVERY:
            told[0] = time.monotonic()
            answers.say("samples", done=int(found[1]), of=int(found[2]))

    bpy.app.handlers.render_stats.append(look)


talking.serve(render)
