"""The recipe: what makes an asset, the output that was accepted, the review; sidecar text ⇄ Recipe.

Fields this version does not know survive a round trip at every level, in `extra`. docs/spec/sidecar.md has
the format in MUST words. Hashes are bare hex in these records; the `blake3:` prefix stands in text only.

The records are frozen and slotted, but tuples underneath rather than dataclasses: every hook loads this
module, and three dataclasses would double the time that takes.
"""

from __future__ import annotations

import re
import sys
from collections import namedtuple

from regen_vcs.errors import InvalidError, NewerFormat
from regen_vcs.model.canonical import Json, json_path, normalise, parse_json, pretty_bytes_of_normal
from regen_vcs.model.paths import check_input, parse_frames

FORMAT = 1  # the value of `regen` that this version reads and writes

_HEX64 = re.compile(r"[0-9a-f]{64}")
_BLAKE3 = re.compile(r"blake3:([0-9a-f]{64})")
_CONTENT = re.compile(r"[a-z][a-z0-9]*:blake3:[0-9a-f]{64}")
_MODEL_HASH = re.compile(r"[a-z][a-z0-9_]*:[0-9a-f]+")
_GENERATOR = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*(?::[A-Za-z0-9_.][A-Za-z0-9_.-]*)?")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_CONFLICT = re.compile(rb"^(?:<{7}|={7}|>{7}|\|{7})(?: |\r?$)", re.MULTILINE)

_HASH_FORM = "'blake3:' and 64 lower-case hex digits"
_TYPE_NAMES = {
    dict: "an object",
    list: "an array",
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "a boolean",
}


# ---------------------------------------------------------------- records


class _DataclassFields:
    """Lets `dataclasses.replace`, `fields` and `asdict` take a record: whoever calls them has imported them."""

    def __init__(self) -> None:
        self._made: dict[type, dict[str, object]] = {}  # making a dataclass takes milliseconds: once a class

    def __get__(self, record: object, owner: type) -> dict[str, object]:
        dataclasses = sys.modules.get("dataclasses")
        if dataclasses is None:
            raise AttributeError("__dataclass_fields__")
        if owner not in self._made:
            made = dataclasses.make_dataclass("Fields", owner._fields)
            self._made[owner] = {field.name: field for field in dataclasses.fields(made)}
        return self._made[owner]


class _Record:
    """What Output, Model and Recipe share."""

    __slots__ = ()
    __dataclass_fields__ = _DataclassFields()

    def replace(self, **changes: object):
        """The same record with some fields changed."""
        return type(self)(**(self._asdict() | changes))

    __replace__ = replace


class Output(
    _Record,
    namedtuple("_Output", ("hash", "key", "size", "content", "look", "media", "files", "frames", "extra")),
):
    """The accepted take.

    hash: of the bytes, or of the manifest (bare BLAKE3 hex)   key: what those bytes were made for; None: a source
    size: bytes, of all files together                         content: "pixels:blake3:…", of what is decoded
    look: ThumbHash in base64                                  media: {"type", "width", "height", "duration", …}
    files: how many, in a directory or sequence                frames: a sequence's range, "1-48"
    """

    __slots__ = ()

    def __new__(
        cls, hash, key, size, content=None, look=None, media=None, files=None, frames=None, extra=None
    ):
        return tuple.__new__(cls, (hash, key, size, content, look, media or {}, files, frames, extra or {}))

    @property
    def is_tree(self) -> bool:
        """A directory or sequence: `hash` names a manifest."""
        return self.files is not None or self.frames is not None


class Model(_Record, namedtuple("_Model", ("hash", "name", "version", "extra"))):
    """A model a generator used: `hash` ("sha256:…") if known, else `name`, and `version` where there is one."""

    __slots__ = ()

    def __new__(cls, hash=None, name=None, version=None, extra=None):
        return tuple.__new__(cls, (hash, name, version, extra or {}))


_RECIPE_FIELDS = (
    "generator",
    "definition",
    "models",
    "params",
    "inputs",
    "output",
    "review",
    "meta",
    "extra",
)


class Recipe(_Record, namedtuple("_Recipe", _RECIPE_FIELDS)):
    """A sidecar.

    generator: "texture", "command:upscale"; None: a source asset
    definition: hash of the generator's table and code (bare BLAKE3 hex), or None
    models: {role: Model}          params: any JSON object       inputs: {name: path as the sidecar spells it}
    output: Output, or None        review: JSON object, or None  meta: JSON object
    """

    __slots__ = ()

    def __new__(
        cls,
        generator=None,
        definition=None,
        models=None,
        params=None,
        inputs=None,
        output=None,
        review=None,
        meta=None,
        extra=None,
    ):
        fields = (
            generator,
            definition,
            models or {},
            params or {},
            inputs or {},
            output,
            review,
            meta or {},
            extra or {},
        )
        return tuple.__new__(cls, fields)

    @property
    def is_source(self) -> bool:
        """No generator: bytes that nothing can make again."""
        return self.generator is None

    @property
    def is_pending(self) -> bool:
        """A recipe that has no accepted take yet."""
        return self.generator is not None and self.output is None


# ---------------------------------------------------------------- text → record


def parse_recipe(data: bytes, where: str) -> Recipe:
    """The recipe in a sidecar's text.

    Errors begin with `where` and have the JSON path in `field`: NewerFormat for a format this version does
    not know, InvalidError for everything else.
    """
    try:
        return recipe_from_json(parse_json(data))
    except InvalidError as error:
        raise _at(where, _conflict_in(data) or error) from None


def _at(where: str, error: InvalidError) -> InvalidError:
    shown = where if where.isprintable() else ascii(where)  # a name may have line feeds, an error may not
    return type(error)(f"{shown}: {error.what}", error.hint, field=error.field)


def _conflict_in(data: bytes) -> InvalidError | None:
    # Only asked once the text has been refused: no valid JSON has a line that starts with a marker.
    marker = _CONFLICT.search(data)
    if not marker:
        return None
    line = data.count(b"\n", 0, marker.start()) + 1
    return InvalidError(
        f"has git conflict markers, line {line}", "resolve the conflict, then `git add` the sidecar"
    )


def recipe_from_json(document: Json) -> Recipe:
    """The recipe in a normal JSON value (`parse_json`, `normalise`). InvalidError or NewerFormat, with `field`."""
    if type(document) is not dict:
        raise InvalidError(f"must be a JSON object, not {_kind(document)}")
    _check_format(document)
    rest = dict(document)
    del rest["regen"]
    generator = _matching(
        rest, "", "generator", _GENERATOR, "letters, digits, _ - . and at most one ':', not starting with '-'"
    )
    definition = _take_hash(rest, "", "definition")
    models = _take_named(rest, "models")
    params = _take_named(rest, "params")
    inputs = _take_named(rest, "inputs")
    output = _take(rest, "", "output", dict)
    review = _take(rest, "", "review", dict)
    meta = _take(rest, "", "meta", dict)
    for name, value in inputs.items():
        _check_input_field(name, value)
    if generator is None and output is None:
        raise _bad("output", "needed where there is no generator: this names nothing")
    if review is not None:
        _check_review(review)
    return Recipe(
        generator,
        definition,
        {role: _model(value, json_path("models", role)) for role, value in models.items()},
        params,
        inputs,
        None if output is None else _output(output, is_generated=generator is not None),
        review,
        meta,
        rest,
    )


def _check_format(document: dict) -> None:
    number = document.get("regen")
    if number is None and "regen" not in document:
        raise _bad("regen", f'missing; a sidecar says "regen": {FORMAT}')
    if type(number) is not int or number < 1:
        raise _bad("regen", f"must be the integer {FORMAT}")
    if number > FORMAT:
        raise NewerFormat(
            f"regen: format {number} is newer than this regen-vcs reads", "upgrade regen-vcs", field="regen"
        )


def _model(value: Json, field: str) -> Model:
    if type(value) is not dict:
        raise _bad(field, f"must be an object, not {_kind(value)}")
    rest = dict(value)
    prefix = field + "."
    digest = _matching(rest, prefix, "hash", _MODEL_HASH, "an algorithm, ':' and lower-case hex digits")
    name = _take_text(rest, prefix, "name")
    version = _take_text(rest, prefix, "version")
    if digest is None and name is None:
        raise _bad(field, "needs a hash, or a name")
    return Model(digest, name, version, rest)


def _output(value: dict, *, is_generated: bool) -> Output:
    rest = dict(value)
    prefix = "output."
    digest = _take_hash(rest, prefix, "hash")
    if digest is None:
        raise _bad("output.hash", "missing")
    key = _matching(rest, prefix, "key", _HEX64, "64 lower-case hex digits")
    if key is None and is_generated:
        raise _bad("output.key", "missing: what were these bytes made for?")
    size = _take_count(rest, prefix, "size")
    if size is None:
        raise _bad("output.size", "missing")
    content = _matching(rest, prefix, "content", _CONTENT, "a kind, ':blake3:' and 64 lower-case hex digits")
    look = _matching(rest, prefix, "look", _BASE64, "base64")
    media = _take(rest, prefix, "media", dict)
    files = _take_count(rest, prefix, "files")
    return Output(digest, key, size, content, look, media, files, _take_frames(rest), rest)


def _take_frames(rest: dict) -> str | None:
    frames = _take(rest, "output.", "frames", str)
    if frames is not None:
        try:
            parse_frames(frames)
        except InvalidError as error:
            raise _bad("output.frames", error.what) from None
    return frames


def _check_review(review: dict) -> None:
    rest = dict(review)
    _take_hash(rest, "review.", "hash")
    for name in ("at", "by", "note", "state"):
        _take(rest, "review.", name, str)


def _check_input_field(name: str, value: Json) -> None:
    if type(value) is not str:
        raise _bad(json_path("inputs", name), f"must be a string, not {_kind(value)}")
    try:
        check_input(value)
    except InvalidError as error:
        raise _bad(json_path("inputs", name), error.what) from None


# Each takes a member out of `rest`, so that what is left at the end is unknown and goes to `extra`.
# `prefix` is the JSON path of `rest` with its dot; only an error needs the two joined.


def _take(rest: dict, prefix: str, name: str, kind: type) -> Json:
    if name not in rest:
        return None
    value = rest.pop(name)
    if type(value) is not kind:  # exact: a boolean is no integer here
        raise _bad(prefix + name, f"must be {_TYPE_NAMES[kind]}, not {_kind(value)}")
    return value


def _take_text(rest: dict, prefix: str, name: str) -> str | None:
    text = _take(rest, prefix, name, str)
    if text == "":
        raise _bad(prefix + name, "must not be empty")
    return text


def _take_count(rest: dict, prefix: str, name: str) -> int | None:
    count = _take(rest, prefix, name, int)
    if count is not None and count < 0:
        raise _bad(prefix + name, "must not be negative")
    return count


def _take_named(rest: dict, name: str) -> dict:
    members = _take(rest, "", name, dict)
    if members is None:
        return {}
    if "" in members:
        raise _bad(name, "names must not be empty")
    return members


def _matching(rest: dict, prefix: str, name: str, form: re.Pattern, expected: str) -> str | None:
    text = _take(rest, prefix, name, str)
    if text is not None and not form.fullmatch(text):
        raise _bad(prefix + name, f"must be {expected}")
    return text


def _take_hash(rest: dict, prefix: str, name: str) -> str | None:
    text = _matching(rest, prefix, name, _BLAKE3, _HASH_FORM)
    return text and text[7:]


def _kind(value: Json) -> str:
    return "null" if value is None else _TYPE_NAMES[type(value)]


def _bad(field: str, problem: str) -> InvalidError:
    return InvalidError(f"{field}: {problem}", field=field)


# ---------------------------------------------------------------- record → text


def recipe_bytes(recipe: Recipe) -> bytes:
    """A sidecar's text in canonical pretty form.

    `parse_recipe` of it gives `recipe` again, with numbers normal (`normalise`). InvalidError if the recipe
    is not valid: what this writes can always be read.
    """
    document = normalise(recipe_to_json(recipe))
    recipe_from_json(document)
    return pretty_bytes_of_normal(document)


def recipe_to_json(recipe: Recipe) -> dict:
    """The sidecar's JSON object; fields that are absent, and empty objects of the recipe's own, are left out."""
    output, models = recipe.output, recipe.models
    return _merged(
        "",
        recipe.extra,
        regen=FORMAT,
        generator=recipe.generator,
        definition=_prefixed(recipe.definition),
        models={role: _model_to_json(role, model) for role, model in models.items()} or None,
        params=recipe.params or None,
        inputs=recipe.inputs or None,
        output=None if output is None else _output_to_json(output),
        review=recipe.review,
        meta=recipe.meta or None,
    )


def _output_to_json(output: Output) -> dict:
    return _merged(
        "output.",
        output.extra,
        hash=_prefixed(output.hash),
        key=output.key,
        size=output.size,
        content=output.content,
        look=output.look,
        media=output.media or None,
        files=output.files,
        frames=output.frames,
    )


def _model_to_json(role: str, model: Model) -> dict:
    return _merged(
        json_path("models", role) + ".", model.extra, hash=model.hash, name=model.name, version=model.version
    )


def _merged(prefix: str, extra: dict, **known: Json) -> dict:
    shadowed = known.keys() & extra.keys()
    if shadowed:
        field = prefix + min(shadowed)
        raise _bad(field, "is a known field, and cannot be an extra one too")
    return extra | {name: value for name, value in known.items() if value is not None}


def _prefixed(digest: str | None) -> str | None:
    return None if digest is None else f"blake3:{digest}"
