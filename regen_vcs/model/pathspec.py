"""git's pathspecs, for names that git does not track: an asset beside its sidecar, a file outside of the index.

As `git ls-files -- PATHSPEC` matches: a name, a folder with all that is in it, or a pattern in which `*` crosses folders;
the magic words `top`, `literal`, `icase`, `glob` and `exclude` in their long and short forms. `attr` needs git itself.
"""

from __future__ import annotations

import re
from collections import namedtuple
from collections.abc import Callable, Iterable

from regen_vcs.errors import UsageError
from regen_vcs.model.paths import SIDECAR_SUFFIX

_SHORT = {"/": "top", "!": "exclude", "^": "exclude"}
_WORDS = ("top", "literal", "icase", "glob", "exclude")
_WILD = frozenset("*?[\\")
_CLASSES = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "blank": " \\t", "cntrl": "\\x00-\\x1f\\x7f", "digit": "0-9", "graph": "!-~",
    "lower": "a-z", "print": " -~", "punct": "!-/:-@\\[-`{-~", "space": "\\s", "upper": "A-Z", "xdigit": "0-9A-Fa-f",
}  # fmt: skip

# pattern: from the repository's root; "" is everything. literal_length: of its beginning, in which wildcards stand for
# themselves. magic: a frozenset of "literal", "icase", "glob", "exclude".
_Pathspec = namedtuple("Pathspec", ("pattern", "literal_length", "magic"))


class Pathspec(_Pathspec):
    """One pathspec, as seen from the repository's root."""

    __slots__ = ()

    @property
    def excludes(self) -> bool:
        return "exclude" in self.magic

    @property
    def is_everything(self) -> bool:
        return not self.pattern and not self.excludes

    @property
    def text(self) -> str:
        """As git takes it at the root; `parse_pathspec(text, "")` is this very pathspec."""
        if not self.pattern:
            return ":(exclude,top)" if self.excludes else ":/"
        words = [word for word in _WORDS if word in self.magic]
        if self.literal_length:
            words.append(f"prefix:{len(self.pattern[: self.literal_length].encode('utf-8', 'surrogateescape'))}")
        if not words and not self.pattern.startswith(":"):
            return self.pattern
        return f":({','.join(words)}){self.pattern}"

    def matcher(self) -> Callable[[str], bool]:
        """A test for names, whether or not this excludes what it matches."""
        if not self.pattern:
            return lambda name: True
        fold = str.lower if "icase" in self.magic else str
        plain = fold(self.pattern)
        below = plain if plain.endswith("/") else plain + "/"
        bare = below[:-1]
        if "literal" in self.magic or not _WILD.intersection(self.pattern[self.literal_length:]):
            return lambda name: fold(name) == bare or fold(name).startswith(below)
        takes_all = self.pattern.endswith("/*") or self.pattern.endswith("/**")
        pattern = re.compile(self._regex(), re.DOTALL | (re.IGNORECASE if "icase" in self.magic else 0))

        def matches(name: str) -> bool:
            folded = fold(name)
            if folded == bare or folded.startswith(below) or pattern.match(name):
                return True
            # A directory that is an asset is what `dir/**` finds all of.
            return takes_all and pattern.match(name + "/") is not None

        return matches

    def _regex(self) -> str:
        return re.escape(self.pattern[: self.literal_length]) + _translate(self.pattern, self.literal_length, "glob" in self.magic)


def parse_pathspec(text: str, folder: str) -> Pathspec:
    """A pathspec as somebody types it in `folder` (from the repository's root, "" for it). UsageError says what is wrong."""
    words, rest = _split_magic(text)
    magic = frozenset(word for word in words if word in _WORDS)
    if "literal" in magic and "glob" in magic:
        raise UsageError(f"{text}: literal and glob contradict each other", "say one of them")
    if not rest and not magic:
        raise UsageError("an empty pathspec names nothing", ":/ is everything")
    known = next((word for word in words if word.startswith("prefix:")), None)
    if known is not None:
        pattern, literal = _plain(rest, text), _characters(rest, known, text)
    else:
        start = "" if "top" in magic or not folder else folder + "/"
        pattern = _normal(start + rest, text)
        literal = len(start) if _WILD.intersection(start) and pattern.startswith(start) else 0
    if pattern.rstrip("/").endswith(SIDECAR_SUFFIX) and "exclude" not in magic:
        pattern = pattern.rstrip("/").removesuffix(SIDECAR_SUFFIX)
    return Pathspec(pattern, min(literal, len(pattern)), magic - {"top"})


def matcher_of(specs: Iterable[Pathspec]) -> Callable[[str], bool]:
    """A test for what one git command with these pathspecs would take: any that includes, and none that excludes."""
    specs = list(specs)
    wanted = [each.matcher() for each in specs if not each.excludes]
    unwanted = [each.matcher() for each in specs if each.excludes]

    def matches(name: str) -> bool:
        included = not wanted or any(test(name) for test in wanted)
        return included and not any(test(name) for test in unwanted)

    return matches


def _split_magic(text: str) -> tuple[list[str], str]:
    """(magic words in their long form, the rest)."""
    if "\0" in text:
        raise UsageError("a pathspec cannot hold a NUL")
    if not text.startswith(":"):
        return [], text
    if text.startswith(":("):
        inside, closed, rest = text[2:].partition(")")
        if not closed:
            raise UsageError(f"{text}: its magic is not closed by )", "see: git help glossary, under pathspec")
        words = [word for word in inside.split(",") if word]
        for word in words:
            if word not in _WORDS and not (word.startswith("prefix:") and word[7:].isascii() and word[7:].isdigit()):
                hint = f"one of {', '.join(_WORDS)}"
                raise UsageError(f"{text}: {word!r} is no magic word that is understood here", hint)
        return words, rest
    words, at = [], 1
    while at < len(text) and text[at] in _SHORT:
        words.append(_SHORT[text[at]])
        at += 1
    if at < len(text) and text[at] == ":":
        at += 1
    elif at == 1:
        raise UsageError(f"{text}: a name that begins with a colon is written :(top){text}", "see: git help glossary, under pathspec")
    return words, text[at:]


def _characters(rest: str, word: str, text: str) -> int:
    """How many characters of `rest` its literal beginning has, of which git counts the bytes."""
    data = rest.encode("utf-8", "surrogateescape")
    count = int(word.partition(":")[2])
    try:
        return len(data[:count].decode("utf-8", "surrogateescape"))
    except UnicodeDecodeError:
        raise UsageError(f"{text}: its prefix ends within a character") from None


def _plain(pattern: str, text: str) -> str:
    if pattern.startswith("/") or ".." in pattern.split("/"):
        raise UsageError(f"{text}: leads out of the repository")
    return pattern


def _normal(pattern: str, text: str) -> str:
    """Without `.`, `..` and doubled slashes, as git has it; a slash at the end stays."""
    parts: list[str] = []
    for part in pattern.split("/"):
        if part == "..":
            if not parts:
                raise UsageError(f"{text}: leads out of the repository", "pathspecs are relative to the folder you are in")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    joined = "/".join(parts)
    return joined + "/" if joined and pattern.endswith("/") else joined


# -- wildmatch, as a regular expression ---------------------------------------------------------------------------------

_ANYTHING = ".*"


def _translate(pattern: str, at: int, by_folder: bool) -> str:
    """by_folder: `*`, `?` and `[…]` stay within one folder, and `**` is any number of them (`:(glob)`)."""
    one = "[^/]" if by_folder else "."
    out = []
    first = next((place for place in range(at, len(pattern)) if pattern[place] in _WILD), len(pattern))
    while at < len(pattern):
        char = pattern[at]
        if char == "?":
            out.append(one)
        elif char == "*":
            end = at
            while end < len(pattern) and pattern[end] == "*":
                end += 1
            piece, at = _stars(pattern, at, end, by_folder, first)
            out.append(piece)
            continue
        elif char == "[":
            piece, at = _bracket(pattern, at, by_folder)
            out.append(piece)
            continue
        elif char == "\\":
            at += 1
            out.append(re.escape(pattern[at]) if at < len(pattern) else "(?!)")
        else:
            out.append(re.escape(char))
        at += 1
    return _joined(out) + r"\Z"


def _joined(pieces: list[str]) -> str:
    """Between two asterisks that stand for anything the first place that fits is as good as any: never looked for again."""
    *_, last = [-1, *(number for number, piece in enumerate(pieces) if piece == _ANYTHING)]
    out, is_open = [], False
    for number, piece in enumerate(pieces):
        if piece == _ANYTHING:
            out.append(")" * is_open + ("(?>.*?" if number != last else ".*"))
            is_open = number != last
        else:
            out.append(piece)
    return "".join(out)


def _stars(pattern: str, at: int, end: int, by_folder: bool, first: int) -> tuple[str, int]:
    """A run of asterisks at `at`: (what it is as a regular expression, where it goes on).

    first: where the first wildcard is. git compares what comes before it by itself, so that it counts as a part's beginning.
    """
    whole_part = (at == first or pattern[at - 1] == "/") and (end == len(pattern) or pattern[end] == "/")
    if not by_folder:
        return _ANYTHING, end
    if end - at < 2 or not whole_part:
        return "[^/]*", end
    return ("(?:.*/)?", end + 1) if end < len(pattern) else (".*", end)


def _bracket(pattern: str, at: int, by_folder: bool) -> tuple[str, int]:
    """A set of characters at `at`: (what it is as a regular expression, where it goes on)."""
    begin = at + 1
    negated = pattern[begin : begin + 1] in ("!", "^")
    at = begin + negated
    members: list[str] = []
    previous = ""
    while True:
        char = pattern[at : at + 1]
        if not char or (char == "]" and at > begin + negated):
            break
        if char == "\\":
            at += 1
            char = pattern[at : at + 1]
            if not char:
                break
            members.append(re.escape(char))
            previous = char
        elif char == "-" and previous and pattern[at + 1 : at + 2] not in ("", "]"):
            at += 1 + (pattern[at + 1] == "\\")
            last = pattern[at : at + 1]
            if not last:
                break
            if previous <= last:
                members.append(f"{re.escape(previous)}-{re.escape(last)}")
            previous = ""
        elif char == "[" and pattern[at + 1 : at + 2] == ":" and ":]" in pattern[at + 2 :]:
            end = pattern.index(":]", at + 2)
            name = pattern[at + 2 : end]
            if name not in _CLASSES:
                return "(?!)", len(pattern)
            members.append(_CLASSES[name])
            at, previous = end + 1, ""
        else:
            members.append(re.escape(char))
            previous = char
        at += 1
    if at >= len(pattern):
        return "(?!)", len(pattern)  # never closed: it matches nothing
    inside = "".join(members)
    found = f"[^{inside}]" if negated else f"[{inside}]"
    if not inside:
        found = "." if negated else "(?!)"
    return (f"(?!/){found}" if by_folder else found), at + 1
