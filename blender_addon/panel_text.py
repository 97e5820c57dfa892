"""Sentences in lines that fit a sidebar or a dialog. Nothing here knows Blender."""

# Characters of a line where nobody says how wide the sidebar is; pixels of one, and of what stands beside it.
_COLUMNS, _PER_CHARACTER, _BESIDE = 30, 6.6, 70


def columns_of(context):
    """How many characters of text a line of this sidebar holds, about."""
    region = getattr(context, "region", None)
    if region is None:
        return _COLUMNS
    scale = context.preferences.system.ui_scale
    return max(18, int((region.width / scale - _BESIDE) / _PER_CHARACTER))


def wrapped(text, width=_COLUMNS):
    """A text in lines of so many characters; words longer than a line are cut."""
    lines, line = [], ""
    for word in text.split():
        word = word if len(word) <= width else word[: width - 1] + "…"
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line] if line else lines
