"""Finding regen-vcs, and what comes back from one that is sound, of another make, or dead."""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from pathlib import Path

import pytest
from addon_parts import bridge
from addon_parts.bridge import Absent, Bridge, Command, RegenError, child_environ, find_command, find_root
from hypothesis import given
from hypothesis import strategies as st

PYTHON = sys.executable


def program(folder: Path, body: str, name: str = "regen-vcs") -> Path:
    """An executable that runs `body` in Python."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\nexec '{PYTHON}' -I - \"$@\" <<'END'\nimport sys, json, os, time, signal\n{body}\nEND\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def fake(tmp_path):
    """A bridge to a program of our own, in a folder with a space and umlauts in its name."""
    root = tmp_path / "ein Prößjekt"
    root.mkdir()

    def make(body: str) -> Bridge:
        path = program(tmp_path / "proß gramme", body)
        return Bridge(Command((str(path),), child_environ(os.environ)), str(root))

    return make


# --- finding ---


@pytest.fixture
def bare(tmp_path):
    """An environment where nothing is installed."""
    home = tmp_path / "home"
    home.mkdir()
    return {"HOME": str(home), "PATH": ""}


@pytest.fixture(autouse=True)
def no_system_folders(monkeypatch):
    monkeypatch.setattr(bridge, "_usual_folders", lambda environ: [os.path.join(environ["HOME"], ".local", "bin")])


def test_absent(bare):
    with pytest.raises(Absent) as caught:
        find_command("", environ=bare)
    assert caught.value.kind == "absent" and "install" in caught.value.hint


def test_path_comes_before_the_usual_places_and_these_before_the_bundled_one(bare, tmp_path):
    usual = program(Path(bare["HOME"], ".local/bin"), "")
    bundled = tmp_path / "bundled"
    (bundled / "regen_vcs").mkdir(parents=True)
    (bundled / "regen_vcs" / "__main__.py").write_text("")
    assert find_command("", (PYTHON, str(bundled)), bare).argv == (str(usual),)
    on_path = program(tmp_path / "b in", "")
    assert find_command("", None, {**bare, "PATH": str(on_path.parent)}).argv == (str(on_path),)
    usual.unlink()
    assert find_command("", (PYTHON, str(bundled)), bare).argv == (PYTHON, "-I", str(bundled / "regen_vcs" / "__main__.py"))


def test_a_damaged_bundle_is_told(bare, tmp_path):
    with pytest.raises(Absent, match="damaged"):
        find_command("", (PYTHON, str(tmp_path)), bare)


@pytest.mark.parametrize("inner", ["regen-vcs", "bin/regen-vcs", "Scripts/regen-vcs"])
def test_a_preference_may_be_the_program_or_a_folder_around_it(bare, tmp_path, inner):
    path = program((tmp_path / "env" / inner).parent, "")
    assert find_command(str(path), environ=bare).argv == (str(path),)
    assert find_command(str(tmp_path / "env"), environ=bare).argv == (str(path),)


@pytest.mark.parametrize("preference", ["regen-vcs", "./regen-vcs", "//regen-vcs-nowhere", "/nowhere/regen-vcs"])
def test_a_preference_that_does_not_hold_is_told_even_if_path_has_one(bare, tmp_path, preference):
    program(tmp_path / "bin", "")
    with pytest.raises(Absent, match=r"full path|there is no"):
        find_command(preference, environ={**bare, "PATH": str(tmp_path / "bin")})


def test_relative_entries_of_path_are_not_searched(bare, tmp_path, monkeypatch):
    program(tmp_path / "bin", "")
    monkeypatch.chdir(tmp_path)
    for path in ("bin", "./bin", "", "."):
        with pytest.raises(Absent):
            find_command("", environ={**bare, "PATH": path})


def test_what_a_repository_brings_is_not_run(bare, tmp_path):
    film = tmp_path / "film"
    program(film / "bin", "")
    (tmp_path / "link").symlink_to(film / "bin")
    outside = program(tmp_path / "outside", "")
    (film / "tools").mkdir()
    (film / "tools" / "regen-vcs").symlink_to(outside)
    for folder in (film / "bin", tmp_path / "link", film / "tools"):
        with pytest.raises(Absent):
            find_command("", environ={**bare, "PATH": str(folder)}, project=str(film))


def test_a_file_that_cannot_be_run_is_none(bare, tmp_path):
    path = program(tmp_path / "bin", "")
    path.chmod(stat.S_IRUSR)
    with pytest.raises(Absent):
        find_command("", environ={**bare, "PATH": str(path.parent)})


def test_the_childs_environment():
    given_ = {
        "PATH": "/usr/bin", "HOME": "/home/ada", "GIT_DIR": "/x/.git", "GIT_INDEX_FILE": "i", "GIT_CONFIG_PARAMETERS": "'a.b=c'",
        "GIT_SSH_COMMAND": "ssh -i k", "PYTHONPATH": "/blender", "PYTHONHOME": "/blender", "REGEN_ACTIVE": "1", "REGEN_KEEP_DIR": "/k",
    }  # fmt: skip
    environ = child_environ(given_, ["/opt/blender"])
    assert environ.keys() & {"GIT_DIR", "GIT_INDEX_FILE", "GIT_CONFIG_PARAMETERS", "PYTHONPATH", "PYTHONHOME", "REGEN_ACTIVE"} == set()
    assert environ["GIT_SSH_COMMAND"] == "ssh -i k" and environ["REGEN_KEEP_DIR"] == "/k"
    assert environ["PATH"] == "/usr/bin:/home/ada/.local/bin:/opt/blender"
    assert environ["GIT_TERMINAL_PROMPT"] == "0" and environ["LANGUAGE"] == "C"


def test_the_bundled_folder_is_the_one_of_this_python(tmp_path):
    assert bridge.find_bundled(str(tmp_path)) is None
    for name in ("cp309", f"cp{sys.version_info[0]}{sys.version_info[1]}"):
        (tmp_path / "bundled" / name / "regen_vcs").mkdir(parents=True)
        (tmp_path / "bundled" / name / "regen_vcs" / "__main__.py").write_text("")
    assert bridge.find_bundled(str(tmp_path)) == (PYTHON, str(tmp_path / "bundled" / name))


# --- roots ---


def test_find_root(tmp_path):
    film = tmp_path / "ein film"
    (film / ".git").mkdir(parents=True)
    (film / "shots").mkdir()
    assert find_root(str(film / "shots" / "new.blend")) is None, "an empty .git is no repository"
    (film / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    assert find_root(str(film / "shots" / "new.blend")) == str(film)
    assert find_root(str(film)) == str(film)
    assert find_root(str(tmp_path)) is None
    assert find_root("") is None


def test_find_root_of_a_linked_worktree_and_through_a_link(tmp_path):
    tree = tmp_path / "tree"
    (tree / "a").mkdir(parents=True)
    (tree / ".git").write_text("gitdir: /elsewhere/.git/worktrees/tree\n")
    assert find_root(str(tree / "a")) == str(tree)
    (tmp_path / "shots").symlink_to(tree / "a")
    assert find_root(str(tmp_path / "shots" / "x.blend")) == str(tree)


# --- answers ---


def test_an_answer(fake):
    said = fake('print(json.dumps({"args": sys.argv[1:], "cwd": os.getcwd(), "git": [n for n in os.environ if n == "GIT_DIR"]}))').run("status", "--", "-ä")
    assert said["args"] == ["status", "--json", "--", "-ä"]
    assert said["cwd"].endswith("ein Prößjekt")
    assert said["git"] == []


def test_input_is_written_and_without_it_stdin_is_empty(fake):
    assert fake("print(0)").run("restore", stdin=b"x" * 300_000) == 0, "a child that never reads its input"
    cat = Bridge(Command((PYTHON, "-I", "-c", "import sys; print(len(sys.stdin.buffer.read()))"), child_environ(os.environ)), None)
    assert cat.run(stdin=b"x" * 300_000) == 300_000
    assert cat.run() == 0


def test_an_error_is_raised_with_its_words(fake):
    answer = {"error": {"kind": "not_trusted", "what": "generators may not run here", "hint": "regen-vcs trust"}}
    with pytest.raises(RegenError) as caught:
        fake(f"print({json.dumps(json.dumps(answer))}); sys.exit(4)").run("regenerate")
    error = caught.value
    assert (error.kind, error.what, error.hint, error.exit_code) == ("not_trusted", "generators may not run here", "regen-vcs trust", 4)


def test_some_assets_failed_is_still_an_answer(fake):
    assert fake('print(\'{"failed": ["a"]}\'); sys.exit(1)').run("regenerate") == {"failed": ["a"]}


@pytest.mark.parametrize(
    ("body", "kind", "what"),
    [
        ("print('Hello')", "garbled", "not JSON: Hello"),
        ("print('[1, NaN]')", "garbled", "not JSON"),
        ("print('[' * 100000)", "garbled", "not JSON"),
        ("sys.stdout.buffer.write(b'\\xff\\xfe{}')", "garbled", "not JSON"),
        ("pass", "garbled", "answered nothing"),
        ("sys.exit(3)", "failed", "exit code 3"),
        ("sys.stderr.write('error: no such thing\\n  hint: look again\\n'); sys.exit(2)", "failed", "no such thing"),
        ("sys.stderr.write('Traceback\\n  File\\nZeroDivisionError: x\\n'); sys.exit(1)", "failed", "ZeroDivisionError"),
        ("sys.stderr.write('\\x1b[31mred\\n'); sys.exit(1)", "failed", "31mred"),
        ("print('{\"error\": {\"kind\": 4, \"what\": [], \"hint\": null}}'); sys.exit(1)", "failed", "did not say why"),
    ],
)
def test_nonsense_is_told(fake, body, kind, what):
    with pytest.raises(RegenError) as caught:
        fake(body).run("status")
    assert caught.value.kind == kind and what in caught.value.what
    assert "\x1b" not in caught.value.what


def test_a_hint_on_stderr(fake):
    with pytest.raises(RegenError) as caught:
        fake("sys.stderr.write('error: no\\n  hint: look again\\n'); sys.exit(2)").run("status")
    assert caught.value.hint == "look again"


def test_death_by_a_signal_even_after_an_answer(fake):
    with pytest.raises(RegenError, match="signal 9"):
        fake("print('{}', flush=True); os.kill(os.getpid(), signal.SIGKILL)").run("status")


def test_one_that_hangs_is_ended_with_its_children(fake, tmp_path):
    note = tmp_path / "pid"
    body = (
        "import subprocess\nsignal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"child = subprocess.Popen(['sleep', '60'])\nopen({str(note)!r}, 'w').write(str(child.pid))\ntime.sleep(60)"
    )
    before = time.monotonic()
    with pytest.raises(RegenError) as caught:
        fake(body).run("status", timeout=1.5)
    assert caught.value.kind == "timeout" and time.monotonic() - before < 8
    assert is_gone(int(note.read_text()))


def is_gone(pid: int) -> bool:
    for _ in range(100):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def test_an_answer_without_end_is_cut(fake, monkeypatch):
    monkeypatch.setattr(bridge, "ANSWER_LIMIT", 1 << 20)
    with pytest.raises(RegenError, match="more than 1 MiB"):
        fake("sys.stdout.write('[' + '1,' * (1 << 20) + '1]')").run("status")


def test_a_flood_on_stderr_does_not_block(fake):
    with pytest.raises(RegenError, match="the end"):
        fake("sys.stderr.write('x' * (4 << 20) + '\\nerror: the end\\n'); sys.exit(1)").run("status")


def test_one_that_went_away_between(fake):
    gone = fake("print('{}')")
    assert gone.run("status") == {}
    os.unlink(gone.command.argv[0])
    with pytest.raises(Absent, match="not there any more"):
        gone.run("status")


def test_a_project_that_went_away(fake):
    gone = fake("print('{}')")
    os.rmdir(gone.root)
    with pytest.raises(RegenError, match="the folder"):
        gone.run("status")


def test_a_nul_in_an_argument(fake):
    with pytest.raises(RegenError):
        fake("print('{}')").run("status", "a\0b")


@pytest.mark.parametrize(("said", "version"), [("regen-vcs 0.1.0", (0, 1, 0)), ("regen-vcs 1.12.3.dev4+gabc", (1, 12, 3)), ("regen-vcs 2.0", (2, 0))])
def test_version(fake, said, version):
    assert fake(f"print({said!r})").version() == version


@pytest.mark.parametrize("said", ["git version 2.39", "", "regen-vcs", "regen-vcs x.y", "regen-vcs 1." + "9" * 5000])
def test_another_program_is_not_regen_vcs(fake, said):
    with pytest.raises(RegenError) as caught:
        fake(f"print({said!r})").version()
    assert caught.value.kind == "garbled"


def test_an_old_version(fake):
    with pytest.raises(RegenError) as caught:
        fake("print('regen-vcs 0.0.9')").version()
    assert caught.value.kind == "too_old" and "0.0.9" in caught.value.what


# --- the real thing ---


def test_real_answers_and_errors(home):
    project = home.repo("ein schöner film")
    project.regen("generate", "shots/sky.png", "--generator", "texture", "--param", "width=16", "--param", "height=16")
    regen = Bridge(find_command(str(Path(PYTHON).parent), environ=home.env), str(project.root))
    assert regen.version() >= bridge.MINIMUM
    (asset,) = regen.run("status")["assets"]
    assert (asset["path"], asset["state"]) == ("shots/sky.png", "ok")
    with pytest.raises(RegenError) as caught:
        regen.run("status", "--", "-no such asset")
    assert caught.value.kind == "usage" and caught.value.exit_code == 2
    assert regen.git("rev-parse", "--show-toplevel").strip() == str(project.root)
    with pytest.raises(RegenError, match="nowhere"):
        regen.git("switch", "nowhere")


def test_outside_a_project(home):
    regen = Bridge(find_command(str(Path(PYTHON).parent), environ=home.env), str(home.work))
    with pytest.raises(RegenError) as caught:
        regen.run("status")
    assert "not inside a git repository" in caught.value.what and "init" in caught.value.hint


@given(st.binary(max_size=300), st.binary(max_size=300), st.integers(-20, 255))
def test_any_answer_gives_a_document_or_our_error(out, err, code):
    try:
        bridge.parse_answer(code, out, err)
    except RegenError as error:
        assert error.what and error.what.strip()
