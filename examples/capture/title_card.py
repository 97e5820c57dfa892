"""A title card, drawn by a tool that an agent calls; captured, so that everybody knows later how it was made."""

from __future__ import annotations

import argparse

from PIL import Image, ImageDraw, ImageFont

from regen_vcs import capture
from regen_vcs.errors import RegenError


@capture.generator("title-card", version="1")
def draw_title(output: str, text: str, *, size: int = 48, ink: str = "#ffffff", paper: str = "#101820",
               plate: capture.Input | None = None) -> None:
    """Centre `text` on a plain card, or on `plate`."""
    card = Image.open(plate).convert("RGB") if plate else Image.new("RGB", (640, 360), paper)
    pen = ImageDraw.Draw(card)
    pen.text((card.width / 2, card.height / 2), text, fill=ink, anchor="mm", font=ImageFont.load_default(size))
    card.save(output)


def revise(path: str, **changes: object) -> str:
    """Draw an existing card again, as it was made, but for these changes."""
    known = capture.recall(path)
    return draw_title(path, **{**known.params, **known.inputs, **changes})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path")
    parser.add_argument("text", nargs="?")
    parser.add_argument("--revise", action="store_true", help="as it was made, but for what is said here")
    parser.add_argument("--size", type=int)
    parser.add_argument("--plate")
    parser.add_argument("--agent")
    parser.add_argument("--task")
    said = parser.parse_args()
    params = {name: value for name in ("text", "size", "plate") if (value := getattr(said, name)) is not None}
    try:
        with capture.acting(agent=said.agent, task=said.task):
            print((revise if said.revise else draw_title)(said.path, **params))
    except RegenError as error:
        parser.exit(error.exit_code, f"error: {error.what}\n" + (f"  hint: {error.hint}\n" if error.hint else ""))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
