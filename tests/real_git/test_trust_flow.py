"""`trust` as users and scripts meet it: shown, asked, given, taken back."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest

from tests.conftest import Home
from tests.real_git.copies import copy_of

PROJECT = """\
[generators.twice]
uses = "command"
argv = ["python3", "{code}/twice.py", "{inputs.image}", "{output}", "a word"]
code = ["tools/*.py"]
env = ["FAL_KEY"]

[generators.noise]
uses = "texture"

[suggestedRemotes.studio]
url = "s3://studio/film"
"""
TWICE = "import sys\nopen(sys.argv[2], 'wb').write(open(sys.argv[1], 'rb').read() * 2)\n"


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    project = Home(tmp_path_factory.mktemp("film") / "user").repo()
    project.write("regen.toml", PROJECT.encode())
    project.write("tools/twice.py", TWICE.encode())
    project.write("plate.txt", b"plate\n")
    project.commit("a generator")
    return project


@pytest.fixture
def film(template, tmp_path):
    return copy_of(template, tmp_path)


def listed(project, *options: str, code: int = 0) -> dict:
    done = project.regen("trust", "--json", *options, check=False)
    assert done.returncode == code
    return json.loads(done.stdout)


def changes(document: dict) -> dict[str, str]:
    return {each["path"]: each["change"] for each in document["items"]}


def ask(project, answer: bytes) -> tuple[int, str]:
    """`trust` on a terminal, with one answer typed: (exit code, what was printed)."""
    mine, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-I", "-m", "regen_vcs", "trust"], cwd=project.root, env={**project.env, "PAGER": "cat", "TERM": "dumb"},
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    ) as process:
        os.close(theirs)
        printed = b""
        asked = False
        while True:
            try:
                chunk = os.read(mine, 65536)
            except OSError:
                break
            if not chunk:
                break
            printed += chunk
            if b"[y/N]" in printed and not asked:
                asked = True
                os.write(mine, answer + b"\n")
        code = process.wait(timeout=60)
    os.close(mine)
    return code, printed.decode()


def test_nothing_to_trust(project):
    for options in ([], ["--yes"]):
        done = project.regen("trust", *options)
        assert "nothing to trust" in done.stdout
    assert listed(project)["trusted"] is True
    assert "nothing was trusted" in project.regen("trust", "--revoke").stdout


def test_a_script_must_say_yes(film):
    done = film.regen("trust", check=False)
    assert done.returncode == 4
    assert "regen-vcs trust --yes" in done.stderr
    for words in ("command:twice", "'a word'", "FAL_KEY", "s3://studio/film", "+import sys", "tools/twice.py"):
        assert words in done.stdout
    assert "texture:noise" not in done.stdout  # it runs nothing
    assert film.regen("trust", check=False).returncode == 4  # nothing was trusted by looking


def test_nothing_runs_before_and_everything_after(film):
    words = ("generate", "big.dat", "--generator", "command:twice", "--input", "image=plate.txt")
    done = film.regen(*words, check=False)
    assert done.returncode == 4 and "not trusted" in done.stderr and not film.path("big.dat").exists()
    assert "trusted 2 files" in film.regen("trust", "--yes").stdout
    film.regen("regenerate", "big.dat")
    assert film.path("big.dat").read_bytes() == b"plate\n" * 2
    assert "trusted already" in film.regen("trust").stdout


def test_a_changed_byte_asks_again_and_a_switch_back_does_not(film):
    film.regen("trust", "--yes")
    film.git("switch", "-qc", "two")
    film.write("tools/twice.py", (TWICE + "# two\n").encode())
    film.commit("two")
    document = listed(film, code=4)
    assert changes(document) == {"regen.toml": "trusted", "tools/twice.py": "changed"}
    assert document["error"]["kind"] == "not-trusted" and "+# two" in document["difference"]
    assert "-import" not in document["difference"]
    film.git("switch", "-q", "main")
    assert listed(film)["trusted"] is True
    film.git("switch", "-q", "two")
    assert listed(film, "--yes")["trusted"] is True
    film.git("switch", "-q", "main")
    assert listed(film)["trusted"] is True


def test_the_users_verbs_and_the_hooks_both_get_what_they_run(film):
    """Staged code is what hooks run, edited code what `regenerate` runs: both are shown, both are trusted."""
    film.regen("trust", "--yes")
    film.write("tools/twice.py", (TWICE + "# staged\n").encode())
    film.git("add", "-A")
    film.write("tools/twice.py", (TWICE + "# on disk\n").encode())
    document = listed(film, code=4)
    found = [(each["path"], each["change"], each["staged"]) for each in document["items"]]
    assert found == [("regen.toml", "trusted", False), ("tools/twice.py", "changed", False), ("tools/twice.py", "changed", True)]
    assert "+# on disk" in document["difference"] and "+# staged" in document["difference"]
    assert listed(film, "--yes")["trusted"] is True
    film.regen("generate", "big.dat", "--generator", "command:twice", "--input", "image=plate.txt")


def test_code_that_git_does_not_know_yet(project):
    project.write("regen.toml", PROJECT.encode())
    project.write("tools/twice.py", TWICE.encode())
    project.write("plate.txt", b"plate\n")
    assert changes(listed(project, "--yes")) == {"regen.toml": "trusted", "tools/twice.py": "trusted"}
    project.regen("generate", "big.dat", "--generator", "command:twice", "--input", "image=plate.txt")


def test_revoke(film):
    film.regen("trust", "--yes")
    assert json.loads(film.regen("trust", "--revoke", "--json").stdout) == {"revoked": 2}
    assert listed(film, code=4)["trusted"] is False
    assert film.regen("trust", "--revoke", "--yes", check=False).returncode == 2


def test_an_input_that_is_a_program(film):
    film.write("scene.py", b"import bpy\n")
    film.git("add", "-A")
    film.regen("trust", "--yes")
    film.regen("generate", "big.dat", "--generator", "command:twice", "--input", "image=scene.py", "--no-run")
    document = listed(film, code=4)
    assert changes(document) == {"regen.toml": "trusted", "tools/twice.py": "trusted", "scene.py": "new"}
    assert {each["path"]: each["kind"] for each in document["items"]}["scene.py"] == "input"


def test_nothing_in_a_text_drives_the_terminal(film):
    film.write("tools/twice.py", "print('\u202e\x1b[2Jevil')\n".encode())
    done = film.regen("trust", check=False)
    assert "\x1b" not in done.stdout and "\u202e" not in done.stdout and "\\x1b[2Jevil" in done.stdout


def test_asked_on_a_terminal(film):
    code, printed = ask(film, b"n")
    assert code == 4 and "Let 2 files run" in printed and "+import sys" in printed
    assert listed(film, code=4)["trusted"] is False
    code, printed = ask(film, b"y")
    assert code == 0 and "trusted 2 files" in printed
    assert listed(film)["trusted"] is True


def test_a_bad_regen_toml_is_said_before_anything_is_trusted(film):
    film.write("regen.toml", b'[generators.x]\nuses = "command"\nargv = "one string"\n')
    done = film.regen("trust", "--yes", check=False)
    assert done.returncode == 3 and "regen.toml" in done.stderr and "Traceback" not in done.stderr
    film.write("regen.toml", (PROJECT + "[trust]\nall = true\n").encode())
    done = film.regen("trust", "--yes", check=False)
    assert done.returncode == 3 and "trust is for the user" in done.stderr
