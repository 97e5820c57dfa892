"""The full rules of regen.toml and config.toml, what their errors say, and that the committed schemas are current."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import jsonschema
import pytest

from regen_vcs.errors import InvalidError
from regen_vcs.model import toml_schema
from regen_vcs.model.quantities import parse_duration, parse_size
from regen_vcs.model.recipe import parse_recipe

ROOT = Path(__file__).parents[2]
EXAMPLES = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "configuration.md").read_text(), re.DOTALL)
USER_EXAMPLE, PROJECT_EXAMPLE = EXAMPLES[0], EXAMPLES[1]


def check_project(text: str) -> None:
    toml_schema.validate_project(tomllib.loads(text), text.encode(), "regen.toml")


def check_user(text: str) -> None:
    toml_schema.validate_user(tomllib.loads(text), text.encode(), "config.toml")


def json_schema(name: str) -> jsonschema.Draft202012Validator:
    schema = json.loads((ROOT / "schemas" / name).read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_committed_schemas_are_current():
    for name, text in toml_schema.schema_files().items():
        assert (ROOT / "schemas" / name).read_bytes() == text, f"{name} is old: python -m regen_vcs.model.toml_schema"
    assert {path.name for path in (ROOT / "schemas").iterdir()} == set(toml_schema.schema_files())


def test_schemas_are_written_into_a_folder(tmp_path):
    paths = toml_schema.write_schemas(str(tmp_path / "new"))
    assert sorted(Path(path).name for path in paths) == sorted(toml_schema.schema_files())
    assert all(Path(path).stat().st_size for path in paths)


def test_the_documented_examples_are_valid():
    check_project(PROJECT_EXAMPLE)
    check_user(USER_EXAMPLE)
    json_schema("regen.toml.schema.json").validate(tomllib.loads(PROJECT_EXAMPLE))
    json_schema("user-config.schema.json").validate(tomllib.loads(USER_EXAMPLE))


GOOD = '[generators.up]\nuses = "command"\nargv = ["x", "{output}"]\n'

BAD_PROJECTS = [
    # text, line, field, what it says
    (GOOD + 'timeoot = "10m"', 4, "generators.up.timeoot", "did you mean timeout"),
    (GOOD + "wait = 1", 4, "generators.up.wait", "not a key"),
    ('[chekcout]\nwait = "1s"', 1, "chekcout", "did you mean checkout"),
    ('[checkout]\n\nwiat = "1s"', 3, "checkout.wiat", "did you mean wait"),
    ('checkout = { wait = "soon" }', 1, "checkout.wait", "not a duration"),
    ('[models.a]\nnam = "x"', 2, "models.a.nam", "did you mean name"),
    ('[models.a]\nname = "x"\nhash = "sha256:12"', 3, "models.a.hash", "64 hexadecimal digits"),
    ('[models.a]\nname = "x"\nsuccessor = "a"', 3, "models.a.successor", "its own successor"),
    ('[models.a]\nversion = "x"', 1, "models.a.name", "is missing"),
    ('[generators.up]\nuses = "command"', 1, "generators.up.argv", "is missing"),
    ('[generators.up]\nargv = ["x"]', 1, "generators.up.uses", "is missing"),
    ('[generators]\nup = "x"', 2, "generators.up", "must be a table"),
    ('[generators."a b"]\nuses = "texture"', 1, "generators.a b", "not a name"),
    ('[generators.up]\nuses = "command"\nargv = "x y"', 3, "generators.up.argv", "must be a list"),
    ('[generators.up]\nuses = "command"\nargv = []', 3, "generators.up.argv", "must not be empty"),
    ('[generators.up]\nuses = "command"\nargv = [1]', 3, "generators.up.argv.0", "text in quotes"),
    ('[generators.up]\nuses = "command"\nargv = ["{params.tool}"]', 3, "generators.up.argv", "the program is literal"),
    ('[generators.up]\nuses = "command"\nargv = ["{code}/tool"]', 3, "generators.up.argv", "the program is literal"),
    ('[generators.up]\nuses = "command"\nargv = ["x", "--o={output}"]', 3, "generators.up.argv", "whole elements"),
    ('[generators.up]\nuses = "command"\nargv = ["x", "{output}{params.a}"]', 3, "generators.up.argv", "whole elements"),
    ('[generators.up]\nuses = "command"\nargv = ["x", "{outptu}"]', 3, "generators.up.argv", "whole elements"),
    ('[generators.up]\nuses = "command"\nargv = ["sh", "-c", "echo ${HOME}"]', 3, "generators.up.argv", "whole elements"),
    ('[generators.up]\nuses = "command"\nargv = ["x", "{code}/../../y"]', 3, "generators.up.argv", "leaves the folder"),
    ('[generators.up]\nuses = "command"\nargv = ["x", "{code}y"]', 3, "generators.up.argv", 'starts with "/"'),
    (GOOD + 'env = ["KEY=secret"]', 4, "generators.up.env", "'KEY' is not a plain variable name"),
    (GOOD + 'code = ["../evil.py"]', 4, "generators.up.code.0", "component"),
    (GOOD + 'code = ["/etc/passwd"]', 4, "generators.up.code.0", "absolute"),
    (GOOD + 'code = ["C:/x"]', 4, "generators.up.code.0", "absolute"),
    (GOOD + 'code = ["a/../../b"]', 4, "generators.up.code.0", "component"),
    (GOOD + 'code = [".git/hooks/*"]', 4, "generators.up.code.0", "git"),
    (GOOD + 'code = ["a/.GIT/x"]', 4, "generators.up.code.0", "git"),
    (GOOD + 'code = ["GIT~1/x"]', 4, "generators.up.code.0", "git"),
    (GOOD + 'code = [".g\\u200cit/x"]', 4, "generators.up.code.0", "git"),
    (GOOD + 'code = [":(top)x"]', 4, "generators.up.code.0", "not a plain path"),
    (GOOD + 'code = ["a\\\\b"]', 4, "generators.up.code.0", "not a plain path"),
    (GOOD + 'timeout = "0"', 4, "generators.up.timeout", "stop every run"),
    (GOOD + 'paid = "yes"', 4, "generators.up.paid", "true or false"),
    (GOOD + '[generators.up.params]\nx = { type = "int" }', 4, "generators.up.params", "not a JSON Schema"),
    (GOOD + '[generators.up.params]\nx = { "$ref" = "https://x" }', 4, "generators.up.params", "not supported"),
    (GOOD + '[generators.up.params]\nx = { x-regen-argv = "all" }', 4, "generators.up.params", "x-regen-argv"),
    ('[generators.c]\nuses = "comfyui"\nservers = ["ftp://x"]', 3, "generators.c.servers.0", "http"),
    ('[suggestedRemotes.s]\nurl = "s3://key:secret@bucket"', 2, "suggestedRemotes.s.url", "user name or password"),
    ('[suggestedRemotes.s]\nurl = "ssh://x"', 2, "suggestedRemotes.s.url", "not an s3://"),
    ('[defaults]\nmodel = "x"', 2, "defaults.model", "did you mean models"),
]


@pytest.mark.parametrize(("text", "line", "field", "words"), BAD_PROJECTS)
def test_what_is_wrong_is_named_with_its_line(text, line, field, words):
    with pytest.raises(InvalidError) as caught:
        check_project(text)
    error = caught.value
    assert error.field == field
    assert words in f"{error.what} {error.hint}"
    assert error.what.startswith(f"regen.toml:{line}: "), error.what


def test_a_secret_in_the_wrong_place_is_not_repeated():
    for text in (GOOD + 'env = ["KEY=hunter2"]', '[suggestedRemotes.s]\nurl = "s3://key:hunter2@bucket"'):
        with pytest.raises(InvalidError) as caught:
            check_project(text)
        assert "hunter2" not in f"{caught.value.what} {caught.value.hint}"


def test_all_problems_are_found_and_counted():
    text = GOOD + 'timeoot = "1s"\n[checkout]\nwait = "soon"\nmissing = "never"\n'
    problems = toml_schema.project_problems(tomllib.loads(text), text.encode())
    assert {(problem.field, problem.line) for problem in problems} == {
        ("generators.up.timeoot", 4), ("checkout.wait", 6), ("checkout.missing", 7),
    }
    with pytest.raises(InvalidError, match=r"\(and 2 more\)"):
        check_project(text)


def test_a_plug_in_may_have_keys_of_its_own():
    check_project('[generators.x]\nuses = "weaver"\nthreads = { warp = 3 }\n')
    with pytest.raises(InvalidError, match="must be a list"):
        check_project('[generators.x]\nuses = "weaver"\ncode = "x.py"\n')


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('link = "softlink"', "config.toml:1: link: "),
        ("[gc]\nkeepTakes = 2.5", "config.toml:2: gc.keepTakes: 2.5 is not a whole number"),
        ('[generators.x]\nuses = "texture"', "generators is not a key there can be"),
        ('[roots]\n"a b" = "/x"', "not a name"),
        ('lnk = "copy"', "did you mean link"),
    ],
)
def test_the_users_file(text, words):
    with pytest.raises(InvalidError) as caught:
        check_user(text)
    assert words in f"{caught.value.what} {caught.value.hint}"


@pytest.mark.parametrize("text", ["0", "1s", "500 ms", "1.5h", "2w", "1", "-1s", "s", "1y", "soon", "1.s"])
def test_the_duration_pattern_agrees_with_the_parser(text):
    assert bool(re.match(toml_schema.DURATION_PATTERN, text)) == _parses(parse_duration, text)


@pytest.mark.parametrize("text", ["0", "10", "5GB", "5gib", "1.5 M", "7b", "GB", "5XB", "-1", "5iB", "1.G"])
def test_the_size_pattern_agrees_with_the_parser(text):
    assert bool(re.match(toml_schema.SIZE_PATTERN, text)) == _parses(parse_size, text)


def _parses(parse, text) -> bool:
    try:
        parse(text)
    except Exception:
        return False
    return True


@pytest.mark.parametrize(
    ("text", "keys", "line"),
    [
        ("[a]\nb = 1\n[a.c]\nd = 2", ["a", "c", "d"], 4),
        ("# b = 0\n[a]\nb = 1", ["a", "b"], 3),
        ("a.b = 1\na.c = 2", ["a", "c"], 2),
        ('["a" . \'b c\'] # x\nd = 1', ["a", "b c", "d"], 2),
        ("[a]\nb = { c = 1 }", ["a", "b", "c"], 2),
        ("[a]\n", ["z"], None),
        ("[[a]]\nb = 1", ["a", "b"], 2),
    ],
)
def test_lines_are_found_in_the_text(text, keys, line):
    assert toml_schema.find_line(text, keys) == line


SIDECAR = {
    "regen": 1,
    "generator": "comfyui:txt2img",
    "definition": "blake3:" + "7" * 64,
    "models": {"checkpoint": {"hash": "sha256:" + "3" * 64, "name": "sd", "version": "1.0"}},
    "params": {"seed": "18446744073709551557", "steps": 30},
    "inputs": {"init_image": "../plates/base.png"},
    "output": {"hash": "blake3:" + "9" * 64, "key": "5" * 64, "size": 1, "media": {"type": "image/png"}},
    "review": {"hash": "blake3:" + "9" * 64, "state": "approved", "by": "x"},
    "meta": {"tags": ["hero"]},
    "future": {"kept": True},
}


def test_the_sidecar_schema_takes_what_the_parser_takes():
    validator = json_schema("sidecar.schema.json")
    for document in (SIDECAR, {"regen": 1, "output": {"hash": "blake3:" + "9" * 64, "size": 3}}, {"regen": 1, "generator": "texture"}):
        validator.validate(document)
        parse_recipe(json.dumps(document).encode(), "x.regen.json")


@pytest.mark.parametrize(
    "change",
    [{"regen": 2}, {"generator": 1}, {"definition": "77"}, {"inputs": {"a": 1}}, {"output": {"hash": "x", "size": 1}}],
)
def test_the_sidecar_schema_refuses_what_the_parser_refuses(change):
    document = {**SIDECAR, **change}
    assert not json_schema("sidecar.schema.json").is_valid(document)
    with pytest.raises(InvalidError):
        parse_recipe(json.dumps(document).encode(), "x.regen.json")
