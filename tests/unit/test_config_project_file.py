"""regen.toml as the engine sees it: tables, definitions, code, and what hostile files come to."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regen_vcs.engine.project_file import ProjectFile
from regen_vcs.errors import InvalidError
from regen_vcs.model.generator_table import (
    code_destinations,
    glob_base,
    glob_matches,
    is_executable_input,
    split_generator,
)
from regen_vcs.model.key import definition_hash, hash_bytes

UPSCALE = """
[generators.upscale]
uses = "command"
argv = ["python3", "{code}/upscale.py", "{inputs.image}", "{output}", "--scale", "{params.scale}"]
code = ["tools/upscale.py", "tools/lib/**"]
timeout = "10m"
env = ["FAL_KEY"]
"""

FILES = {
    "tools/upscale.py": b"print('hi')\n",
    "tools/lib/a.py": b"a",
    "tools/lib/deep/b.py": b"b",
    "tools/other.py": b"no",
    "README.md": b"no",
}


def project(text: str) -> ProjectFile:
    return ProjectFile.load(text.encode(), "regen.toml")


def define(text: str, name: str = "command:upscale", files: dict[str, bytes] = FILES):
    return project(text).definition(name, files.__getitem__, lambda globs: list(files))


def test_the_definition_is_the_table_and_the_code():
    digest, code = define(UPSCALE)
    assert code == {
        "upscale.py": ("tools/upscale.py", hash_bytes(FILES["tools/upscale.py"])),
        "a.py": ("tools/lib/a.py", hash_bytes(b"a")),
        "deep/b.py": ("tools/lib/deep/b.py", hash_bytes(b"b")),
    }
    table = {key: value for key, value in project(UPSCALE).generator_table("command:upscale").items() if key != "timeout"}
    assert digest == definition_hash(table, {dest: digest for dest, (_, digest) in code.items()})


def test_what_changes_a_definition_and_what_does_not():
    base = define(UPSCALE)[0]
    same = [
        UPSCALE.replace("10m", "1h"),
        UPSCALE + "paid = true\n",
        UPSCALE + "[generators.upscale.params]\nscale = { type = 'integer' }\n",
        UPSCALE + "[checkout]\nwait = '1s'\n",
        "# a comment\n" + UPSCALE,
    ]
    assert {define(text)[0] for text in same} == {base}
    other = [UPSCALE.replace("--scale", "--times"), UPSCALE.replace("FAL_KEY", "OTHER"), UPSCALE.replace("/**", "/*")]
    changed = {define(text)[0] for text in other} | {define(UPSCALE, files={**FILES, "tools/lib/a.py": b"A"})[0]}
    assert len(changed) == 4 and base not in changed


def test_a_generator_without_a_table_has_no_definition():
    assert project(UPSCALE).definition("texture", FILES.__getitem__, lambda globs: []) == (None, {})
    assert ProjectFile.load(None).generator_table("tone") == {}


def test_tables_are_copies():
    file = project(UPSCALE)
    file.generator_table("command:upscale")["argv"].append("x")
    assert file.generator_table("command:upscale")["argv"][-1] == "{params.scale}"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("command:upscael", r"no \[generators.upscael\]"),
        ("comfyui:upscale", 'uses = "command", so it is not comfyui:upscale'),
        ("command:", "not the name of a generator"),
        ("../x", "not the name of a generator"),
        ("command:a:b", "not the name of a generator"),
    ],
)
def test_a_generator_that_is_not_there(name, words):
    with pytest.raises(InvalidError, match=words):
        define(UPSCALE, name)


def test_the_hint_names_what_there_is():
    with pytest.raises(InvalidError) as caught:
        define(UPSCALE, "command:upscael")
    assert caught.value.hint == "there is command:upscale"


# ---------------------------------------------------------------- hostile files


TABLE = '[generators.upscale]\nuses = "command"\nargv = ["x"]\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TABLE + 'code = ["../../etc/passwd"]', "component"),
        (TABLE + 'code = ["/etc/passwd"]', "absolute"),
        (TABLE + 'code = [".git/config"]', "git"),
        (TABLE + 'code = ["x/.gIt/config"]', "git"),
        (TABLE + 'code = ["git~1/config"]', "git"),
        (TABLE + 'code = [".git ./config"]', "git"),
        (TABLE + 'code = [".git::$INDEX_ALLOCATION/config"]', "git"),
        (TABLE + 'code = ["tools/"]', "component"),
        (TABLE + 'code = "tools/x.py"', "code is a list"),
        (TABLE + "code = [3]", "code is a list"),
        (TABLE + 'code = ["nothing/*.py"]', "matches no file"),
        (TABLE + 'env = ["A=b"]', "not a plain variable name"),
        (TABLE + "since = 2026-01-01", "since is a date"),
        (TABLE + "size = [1.0, nan]", "size is not a finite number"),
        (TABLE + "size = inf", "size is not a finite number"),
        ('[generators.upscale]\nuses = "command"\nargv = "rm -rf /"', "argv is a list of strings"),
        ('[generators.upscale]\nuses = "command"\nargv = []', "argv is a list of strings"),
        ('[generators.upscale]\nuses = "command"', "argv is a list of strings"),
        ('[generators.upscale]\nuses = "command"\nargv = ["{inputs.tool}"]', "the program is literal"),
        ('[generators.upscale]\nuses = "command"\nargv = ["{code}/tool"]', "the program is literal"),
        ('[generators.upscale]\nuses = "command"\nargv = ["x", "-o{output}"]', "not a placeholder that can stand there"),
        ('[generators.upscale]\nuses = "command"\nargv = ["x", "a\\u0000b"]', "NUL"),
        ("generators = 3", "holds tables only"),
        ("[generators]\nupscale = 3", "holds tables only"),
        ('link = "hardlink!"\n' + TABLE, "link is for the user"),
        ("[trust]\nyes = true\n" + TABLE, "trust is for the user"),
    ],
)
def test_a_hostile_table_is_refused_before_it_is_hashed(text, words):
    with pytest.raises(InvalidError, match=words):
        define(text)


@pytest.mark.parametrize(
    "data", [b"\xff", b"[" * 200_000, b"a" * (1 << 20) + b"a", b"x = 1\nx = 2", b"\xef\xbb\xbf\xef\xbb\xbfx = 1", b"x = " + b"9" * 10_000]
)
def test_what_is_no_toml_is_an_error_of_ours(data):
    with pytest.raises(InvalidError, match=r"^regen\.toml: "):
        ProjectFile.load(data, "regen.toml").generator_names()


@given(st.text(max_size=200).map(str.encode) | st.binary(max_size=200))
def test_any_bytes_are_a_document_or_an_error_of_ours(data):
    file = ProjectFile.load(data, "regen.toml")
    try:
        file.validate()
        file.generator_names()
    except InvalidError:
        pass


def test_two_files_on_one_name():
    text = TABLE + 'code = ["a/tool.py", "b/tool.py"]'
    with pytest.raises(InvalidError, match=r"a/tool.py and b/tool.py would both be \{code\}/tool.py"):
        define(text, files={"a/tool.py": b"", "b/tool.py": b""})
    with pytest.raises(InvalidError, match="would both be"):
        define(TABLE + 'code = ["a/*.py"]', files={"a/Tool.py": b"", "a/tool.py": b""})
    digest, code = define(TABLE + 'code = ["a/*.py", "a/tool.py"]', files={"a/tool.py": b""})
    assert list(code) == ["tool.py"] and digest


def test_code_has_bounds():
    with pytest.raises(InvalidError, match="more than 64 globs"):
        define(TABLE + f"code = {['a/x.py'] * 65}", files={"a/x.py": b""})
    with pytest.raises(InvalidError, match="more than 4096"):
        define(TABLE + 'code = ["a/*"]', files={f"a/{n}": b"" for n in range(4097)})


def test_code_never_comes_from_git_even_if_it_were_listed():
    files = {"tools/x.py": b"x", "tools/.git/config": b"secret"}
    _, code = define(TABLE + 'code = ["tools/**"]', files=files)
    assert list(code) == ["x.py"]


# ---------------------------------------------------------------- trust, models, remotes


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("", False),
        ("[checkout]\nwait = '1s'", False),
        ('[generators.noise]\nuses = "texture"', False),
        ('[generators.noise]\nuses = "texture"\n[generators.x]\nuses = "comfyui"', True),
        (TABLE, True),
        ('[generators.b]\nuses = "blender"', True),
        ('[generators.p]\nuses = "some-plugin"', True),
        ("[generators.p]\nother = 1", True),
    ],
)
def test_what_needs_trust(text, needed):
    assert project(text).needs_trust is needed


def test_models_and_suggested_remotes():
    file = project('[models.sdxl]\nname = "x"\n[suggestedRemotes.s]\nurl = "s3://b"')
    assert file.models == {"sdxl": {"name": "x"}}
    assert file.suggested_remotes == {"s": {"url": "s3://b"}}
    file.validate()


def test_generator_names():
    assert project(UPSCALE + '[generators.a]\nuses = "comfyui"').generator_names() == ["comfyui:a", "command:upscale"]


def test_an_absent_file_is_an_empty_one():
    file = ProjectFile.load(None)
    assert not file.exists and file.document == {} and file.generator_names() == [] and not file.needs_trust
    file.validate()


def test_the_fast_path_does_without_pydantic():
    script = (
        "import sys\nfrom regen_vcs.engine.project_file import ProjectFile\n"
        f"ProjectFile.load({TABLE.encode()!r}).definition('command:upscale', lambda p: b'', lambda g: [])\n"
        "assert not {'pydantic', 'jsonschema', 'difflib', 'pathlib'} & set(sys.modules)"
    )
    run = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


# ---------------------------------------------------------------- globs


@pytest.mark.parametrize(
    ("glob", "path", "matches"),
    [
        ("tools/x.py", "tools/x.py", True),
        ("tools/x.py", "tools/x.pyc", False),
        ("tools/*.py", "tools/x.py", True),
        ("tools/*.py", "tools/sub/x.py", False),
        ("tools/*", "tools/.hidden", True),
        ("tools/**/*.py", "tools/x.py", True),
        ("tools/**/*.py", "tools/a/b/x.py", True),
        ("tools/**", "tools/a/b", True),
        ("tools/**", "tools", False),
        ("**/x.py", "x.py", True),
        ("**/x.py", "a/b/x.py", True),
        ("**", "a/b", True),
        ("a/**/b/**/c", "a/1/b/2/3/c", True),
        ("a/**/b/**/c", "a/1/2/3/c", False),
        ("x?.py", "x1.py", True),
        ("x?.py", "x/.py", False),
        ("x[0-9].py", "x5.py", True),
        ("x[!0-9].py", "x5.py", False),
        ("x[^a].py", "xb.py", True),
        ("x[]a].py", "x].py", True),
        ("x[a-].py", "x-.py", True),
        ("x[z-a].py", "xm.py", False),
        ("x[.py", "x[.py", True),
        ("a**b", "axxb", True),
        ("*a*b*c", "1a2b3c", True),
        ("*a*b*c", "1a2c3b", False),
        ("T/x", "t/x", False),
    ],
)
def test_globs(glob, path, matches):
    assert glob_matches(glob, path) is matches


def test_a_glob_made_to_hang_does_not():
    assert not glob_matches("*a" * 100 + "b", "a" * 4000)
    assert not glob_matches("**/" + "a/**/" * 50 + "b", "a/" * 1500 + "c")


def test_the_wildcard_free_folder():
    assert [glob_base(glob) for glob in ("tools/x.py", "tools/*.py", "a/b/**/c.py", "x.py", "*/x.py", "a[b]/c/d")] == [
        "tools", "tools", "a/b", "", "", "",
    ]
    assert code_destinations(["a/*/x.py"], ["a/1/x.py", "a/2/x.py"]) == {"1/x.py": "a/1/x.py", "2/x.py": "a/2/x.py"}


@pytest.mark.parametrize(
    ("path", "executable"),
    [
        ("scene.blend", True), ("scene.blend1", True), ("scene.BLEND", True), ("graph.json", True), ("x.py", True),
        ("tools/run", True), (".profile", True), ("x.sh.", True), ("weights.ckpt", True), ("x.py ", True),
        ("sky.png", False), ("a.b/sky.exr", False), ("grade.cube", False), ("weights.safetensors", False), ("a.py/sky.wav", False),
    ],
)
def test_executable_inputs(path, executable):
    assert is_executable_input(path) is executable


def test_generator_names_split():
    assert split_generator("command:upscale") == ("command", "upscale")
    assert split_generator("texture") == ("texture", None)
