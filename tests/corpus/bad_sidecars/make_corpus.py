"""Writes the corpus: sidecars that must be refused, and index.json, which says with which words.

    python tests/corpus/bad_sidecars/make_corpus.py

Each file differs from a valid sidecar in one thing. The files are committed; run this after a change of the
table below, and read the difference.
"""

from __future__ import annotations

import json
from pathlib import Path

HERE = Path(__file__).parent
HEX = "0123456789abcdef" * 4
HASH = f"blake3:{HEX}"
GOOD = {
    "regen": 1,
    "generator": "command:upscale",
    "definition": HASH,
    "models": {"checkpoint": {"hash": "sha256:31e3", "name": "base.safetensors", "version": "1.0"}},
    "params": {"prompt": "rain", "steps": 30},
    "inputs": {"image": "../plates/base.png"},
    "output": {"hash": HASH, "key": HEX, "size": 1, "media": {"width": 1}},
    "review": {"hash": HASH, "state": "approved"},
    "meta": {"tags": ["hero"]},
}
ABSENT = object()


def text(document: object) -> bytes:
    return (json.dumps(document, indent=2, sort_keys=True) + "\n").encode()


def changed(**fields: object) -> bytes:
    """The good sidecar with fields changed; `output__size=-1` reaches one level down, ABSENT removes."""
    document = json.loads(json.dumps(GOOD))
    for path, value in fields.items():
        *outer, name = path.split("__")
        target = document
        for step in outer:
            target = target[step]
        if value is ABSENT:
            del target[name]
        else:
            target[name] = value
    return text(document)


def params(raw: str) -> bytes:
    """The good sidecar with the raw JSON text `raw` as its only param."""
    return changed(params={"x": "RAW"}).replace(b'"RAW"', raw.encode("utf-8", "surrogatepass"))


def an_input(path: object) -> bytes:
    return changed(inputs={"image": path})


GOOD_TEXT = text(GOOD)
CONFLICT = b"<<<<<<< HEAD\n%s=======\n%s>>>>>>> theirs\n"

# name: (bytes, words that the error must have)
CORPUS = {
    # not text, or not JSON
    "empty": (b"", "is empty"),
    "only-space": (b" \n\n", "not JSON"),
    "binary-png": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x04\x00", "not UTF-8"),
    "binary-zeros": (b"\0" * 512, "not JSON"),
    "latin-1": (changed(params={"prompt": "caf?"}).replace(b"?", b"\xe9"), "not UTF-8"),
    "utf-8-surrogate": (params('"\ud800"'), "not UTF-8"),
    "utf-8-overlong": (GOOD_TEXT.replace(b"rain", b"\xc0\xaf"), "not UTF-8"),
    "utf-16-with-mark": (GOOD_TEXT.decode().encode("utf-16"), "UTF-16"),
    "utf-16-big-endian": (b"\xfe\xff" + GOOD_TEXT.decode().encode("utf-16-be"), "UTF-16"),
    "utf-16-without-mark": (GOOD_TEXT.decode().encode("utf-16-le"), "not JSON"),
    "byte-order-mark": (b"\xef\xbb\xbf" + GOOD_TEXT, "byte order mark"),
    "truncated": (GOOD_TEXT[: len(GOOD_TEXT) // 2], "not JSON"),
    "truncated-last-brace": (GOOD_TEXT.rstrip()[:-1], "not JSON"),
    "truncated-in-escape": (b'{"regen": 1, "params": {"x": "\\u00', "not JSON"),
    "two-documents": (GOOD_TEXT + GOOD_TEXT, "not JSON"),
    "trailing-comma": (GOOD_TEXT.replace(b"30\n", b"30,\n"), "not JSON"),
    "comment": (b"// made by hand\n" + GOOD_TEXT, "not JSON"),
    "single-quotes": (b"{'regen': 1}", "not JSON"),
    "yaml": (b"regen: 1\ngenerator: texture\n", "not JSON"),
    "lfs-pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "not JSON"),
    "raw-line-feed-in-string": (params('"a\nb"'), "not JSON"),
    "leading-zero": (params("01"), "not JSON"),
    "too-large": (params('"%s"' % ("x" * (1 << 20))), "over the limit"),
    # JSON, but not I-JSON
    "duplicate-key": (GOOD_TEXT.replace(b'"steps"', b'"prompt"'), "duplicate key"),
    "duplicate-key-top": (b'{"regen": 1, "generator": "a", "generator": "b"}', "duplicate key"),
    "duplicate-key-escaped": (b'{"regen": 1, "params": {"a": 1, "\\u0061": 2}}', "(params.a)"),
    "nan": (params("NaN"), "NaN"),
    "infinity": (params("Infinity"), "Infinity"),
    "minus-infinity": (params("[1, -Infinity]"), "(params.x[1])"),
    "number-1e400": (params("1E400"), "beyond"),
    "number-1e16": (params("1e16"), "beyond"),
    "number-1e300": (params("1e300"), "beyond"),
    "number-2e53-point": (params("9007199254740992.0"), "beyond"),
    "number-huge-point": (params("9" * 5000 + ".5"), "beyond"),
    "lone-surrogate": (params('"\\ud83d"'), "lone surrogate"),
    "lone-surrogate-key": (params('{"\\ude00": 1}'), "lone surrogate"),
    "surrogates-swapped": (params('"\\ude00\\ud83d"'), "lone surrogate"),
    "nested-65": (params("[" * 63 + "]" * 63), "nesting over 64"),
    "nested-objects": (params('{"a":' * 100 + "1" + "}" * 100), "nesting over 64"),
    "nested-100000": (b"[" * 100_000, "nesting over 64"),
    # conflicts
    "conflict": (CONFLICT % (GOOD_TEXT, GOOD_TEXT), "git conflict markers, line 1"),
    "conflict-one-field": (GOOD_TEXT.replace(b'  "regen"', CONFLICT % (b'  "a": 1,\n', b'  "a": 2,\n') + b'  "regen"'), "git conflict markers"),
    "conflict-diff3": (b'{\n<<<<<<< ours\n"a": 1\n||||||| base\n"a": 0\n=======\n"a": 2\n>>>>>>> theirs\n}\n', "git conflict markers, line 2"),
    "conflict-crlf": (b'{\r\n<<<<<<< ours\r\n=======\r\n"a": 2\r\n>>>>>>> theirs\r\n}\r\n', "git conflict markers"),
    "conflict-half-resolved": (b"{\n=======\n}\n", "git conflict markers, line 2"),
    # not a sidecar
    "array": (b"[]", "must be a JSON object, not an array"),
    "string": (b'"regen"', "must be a JSON object, not a string"),
    "number": (b"1", "must be a JSON object, not an integer"),
    "null": (b"null", "must be a JSON object, not null"),
    "empty-object": (b"{}", "regen: missing"),
    "format-missing": (changed(regen=ABSENT), "regen: missing"),
    "format-null": (changed(regen=None), "regen: must be the integer 1"),
    "format-string": (changed(regen="1"), "regen: must be the integer 1"),
    "format-true": (changed(regen=True), "regen: must be the integer 1"),
    "format-zero": (changed(regen=0), "regen: must be the integer 1"),
    "format-half": (changed(regen=1.5), "regen: must be the integer 1"),
    "format-newer": (changed(regen=2), "newer than this regen-vcs"),
    "format-newer-unknown-shape": (b'{"regen": 17, "output": ["other"], "generator": null}', "newer than this regen-vcs"),
    "nothing-named": (b'{"regen": 1}', "output: needed"),
    # generator and definition
    "generator-null": (changed(generator=None), "generator: must be a string, not null"),
    "generator-number": (changed(generator=7), "generator: must be a string"),
    "generator-empty": (changed(generator=""), "generator: must be letters"),
    "generator-option": (changed(generator="-rf"), "generator: must be letters"),
    "generator-space": (changed(generator="rm -rf"), "generator: must be letters"),
    "generator-path": (changed(generator="../evil"), "generator: must be letters"),
    "generator-two-colons": (changed(generator="a:b:c"), "generator: must be letters"),
    "generator-newline": (changed(generator="texture\n"), "generator: must be letters"),
    "definition-bare": (changed(definition=HEX), "definition: must be 'blake3:'"),
    "definition-sha256": (changed(definition="sha256:" + HEX), "definition: must be 'blake3:'"),
    # models
    "models-array": (changed(models=[]), "models: must be an object"),
    "model-string": (changed(models={"checkpoint": "sdxl"}), "models.checkpoint: must be an object"),
    "model-nothing": (changed(models={"checkpoint": {}}), "models.checkpoint: needs a hash, or a name"),
    "model-version-only": (changed(models={"checkpoint": {"version": "1"}}), "models.checkpoint: needs a hash, or a name"),
    "model-hash-bare": (changed(models={"checkpoint": {"hash": HEX}}), "models.checkpoint.hash: must be"),
    "model-hash-upper": (changed(models={"checkpoint": {"hash": "sha256:31E3"}}), "models.checkpoint.hash: must be"),
    "model-name-empty": (changed(models={"checkpoint": {"name": ""}}), "models.checkpoint.name: must not be empty"),
    "model-version-number": (changed(models={"checkpoint": {"name": "a", "version": 1.5}}), "models.checkpoint.version: must be a string"),
    "model-role-empty": (changed(models={"": {"name": "a"}}), "models: names"),
    # params and inputs
    "params-array": (changed(params=[1]), "params: must be an object"),
    "params-null": (changed(params=None), "params: must be an object, not null"),
    "params-empty-name": (changed(params={"": 1}), "params: names"),
    "inputs-array": (changed(inputs=["a.png"]), "inputs: must be an object"),
    "input-number": (an_input(1), "inputs.image: must be a string"),
    "input-empty": (an_input(""), "inputs.image: '': a path must not be empty"),
    "input-name-line-feed": (changed(inputs={"a\nb": 1}), 'inputs."a\\nb": must be a string'),
    "model-role-line-feed": (changed(models={"a\nb": {}}), 'models."a\\nb": needs a hash'),
    "input-very-long": (an_input("../" + "x/" * 5000 + ".."), "'..' is not a name"),
    "input-empty-name": (changed(inputs={"": "a.png"}), "inputs: names"),
    "input-absolute": (an_input("/etc/passwd"), "must be relative"),
    "input-drive": (an_input("C:/a.png"), "'C:' is a drive"),
    "input-backslash": (an_input("..\\a.png"), "backslash"),
    "input-nul": (an_input("a\0.png"), "NUL"),
    "input-dot": (an_input("./a.png"), "must be spelt 'a.png'"),
    "input-inner-dots": (an_input("a/../../b.png"), "'..' is not a name"),
    "input-only-dots": (an_input("../.."), "'..' is not a name"),
    "input-double-slash": (an_input("a//b.png"), "'' is not a name"),
    "input-folder": (an_input("plates/"), "'' is not a name"),
    "input-git": (an_input("../.git/config"), "git's own folder"),
    "input-git-case": (an_input(".GIT/config"), "git's own folder"),
    "input-git-short": (an_input("GIT~1/config"), "git's own folder"),
    "input-git-ignorable": (an_input(".g\u200cit/config"), "git's own folder"),
    "input-root-bare": (an_input("@plates"), "is not @root/path"),
    "input-root-nameless": (an_input("@/a.png"), "is not @root/path"),
    "input-root-escape": (an_input("@plates/../a.png"), "'..' is not a name"),
    "input-root-absolute": (an_input("@plates//etc/passwd"), "'' is not a name"),
    "input-long-name": (an_input("x" * 256), "over 255 bytes"),
    # output
    "output-null": (changed(output=None), "output: must be an object, not null"),
    "output-string": (changed(output=HASH), "output: must be an object"),
    "output-hash-missing": (changed(output__hash=ABSENT), "output.hash: missing"),
    "output-hash-bare": (changed(output__hash=HEX), "output.hash: must be 'blake3:'"),
    "output-hash-upper": (changed(output__hash="blake3:" + HEX.upper()), "output.hash: must be 'blake3:'"),
    "output-hash-short": (changed(output__hash=HASH[:-1]), "output.hash: must be 'blake3:'"),
    "output-hash-long": (changed(output__hash=HASH + "0"), "output.hash: must be 'blake3:'"),
    "output-hash-newline": (changed(output__hash=HASH + "\n"), "output.hash: must be 'blake3:'"),
    "output-hash-path": (changed(output__hash="blake3:../../../../etc/passwd"), "output.hash: must be 'blake3:'"),
    "output-key-missing": (changed(output__key=ABSENT), "output.key: missing"),
    "output-key-prefixed": (changed(output__key=HASH), "output.key: must be 64"),
    "output-size-missing": (changed(output__size=ABSENT), "output.size: missing"),
    "output-size-negative": (changed(output__size=-1), "output.size: must not be negative"),
    "output-size-true": (changed(output__size=True), "output.size: must be an integer, not a boolean"),
    "output-size-half": (changed(output__size=0.5), "output.size: must be an integer, not a number"),
    "output-size-huge": (changed(output__size=2**64), "output.size: must be an integer, not a string"),
    "output-content": (changed(output__content=HASH), "output.content: must be"),
    "output-look": (changed(output__look="not base64!"), "output.look: must be base64"),
    "output-media": (changed(output__media=[]), "output.media: must be an object"),
    "output-files": (changed(output__files=-3), "output.files: must not be negative"),
    "output-frames-empty": (changed(output__frames=""), "output.frames: '': frames are written like"),
    "output-frames-number": (changed(output__frames=48), "output.frames: must be a string"),
    "output-frames-falling": (changed(output__frames="48-1"), "output.frames: '48-1': frame ranges must rise"),
    "output-frames-touching": (changed(output__frames="1-24,25-48"), "frame ranges must rise and stand apart"),
    "output-frames-padded": (changed(output__frames="0001-0048"), "frames are written like"),
    # review and meta
    "review-string": (changed(review="approved"), "review: must be an object"),
    "review-state": (changed(review__state=True), "review.state: must be a string"),
    "review-hash": (changed(review__hash=HEX), "review.hash: must be 'blake3:'"),
    "meta-array": (changed(meta=["hero"]), "meta: must be an object"),
}


def main() -> None:
    for name, (data, _) in CORPUS.items():
        (HERE / f"{name}.json").write_bytes(data)
    index = {f"{name}.json": fragment for name, (_, fragment) in CORPUS.items()}
    (HERE / "index.json").write_text(json.dumps(index, indent=2, ensure_ascii=True) + "\n")


if __name__ == "__main__":
    main()
