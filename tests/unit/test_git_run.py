"""The scrubbed environment, and the process that is talked to."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from regen_vcs.errors import RegenError
from regen_vcs.git import run


def test_local_env_vars_are_those_of_the_installed_git():
    known = subprocess.run(["git", "rev-parse", "--local-env-vars"], capture_output=True, check=True, text=True)
    assert set(known.stdout.split()) <= run.LOCAL_ENV_VARS


def test_scrub_keeps_what_says_which_repository():
    environ = dict.fromkeys(run.LOCAL_ENV_VARS, "x") | {
        "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "a.b", "GIT_CONFIG_VALUE_0": "c", "HOME": "/h", "LC_ALL": "de_DE",
        "GIT_DIR": ".git", "GIT_WORK_TREE": "/w", "GIT_LITERAL_PATHSPECS": "1",
    }  # fmt: skip
    assert run.scrub_environ(environ, "/cwd") == {
        "GIT_DIR": "/cwd/.git", "GIT_WORK_TREE": "/w", "GIT_CONFIG_PARAMETERS": "x", "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "a.b", "GIT_CONFIG_VALUE_0": "c", "HOME": "/h", "LC_CTYPE": "de_DE", "LC_MESSAGES": "C",
        "GIT_OPTIONAL_LOCKS": "0", "REGEN_ACTIVE": "1",
    }  # fmt: skip


def test_scrub_keeps_the_index_only_if_asked():
    environ = {"GIT_INDEX_FILE": ".git/next-index.lock"}
    assert "GIT_INDEX_FILE" not in run.scrub_environ(environ, "/w")
    assert run.scrub_environ(environ, "/w", keep_index=True)["GIT_INDEX_FILE"] == "/w/.git/next-index.lock"


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("git version 2.39.5", (2, 39, 5)),
        ("git version 2.39.5 (Apple Git-154)", (2, 39, 5)),
        ("git version 2.50.0.windows.1", (2, 50, 0)),
        ("git version 2.55.0-rc1", (2, 55)),
    ],
)
def test_parse_version(text, version):
    assert run.parse_version(text) == version


def fake_git(folder, body):
    folder.mkdir(exist_ok=True)
    program = folder / "git"
    program.write_text(f"#!{sys.executable} -I\nimport os, sys\n{body}")
    program.chmod(0o755)
    return run.Git(str(folder), {"PATH": str(folder)})


@pytest.fixture(params=["posix_spawn", "subprocess"])
def talk(request, monkeypatch):
    """Both ways of starting git."""
    if request.param == "subprocess":
        monkeypatch.setattr(run, "subprocess", subprocess, raising=False)
        monkeypatch.setattr(run, "_talk_posix", run._talk_elsewhere)


@pytest.mark.usefixtures("talk")
class TestTalk:
    def test_argv_environment_and_output(self, tmp_path):
        body = "print([os.fsencode(word) for word in sys.argv[3:]], os.environ['LC_MESSAGES'], sys.stdin.read() == '')"
        words = [b"-c", b"filter.regen.process=", b"-c", b"core.fsmonitor=false", b"add", b"\xc3\xa4\xff"]
        assert fake_git(tmp_path, body).out("add", "ä\udcff") == f"{words} C True\n".encode()

    def test_write_passes_no_overrides(self, tmp_path):
        git = fake_git(tmp_path, "print(sys.argv[3:])")
        assert git.write("mv", "a", "b") == b"['mv', 'a', 'b']\n"

    def test_input_and_output_larger_than_any_pipe(self, tmp_path):
        git = fake_git(tmp_path, "d = sys.stdin.buffer.read(); sys.stderr.write('e' * 300000); sys.stdout.buffer.write(d + d)")
        data = os.urandom(3_000_000)
        assert git.out("x", input=data) == data + data

    def test_both_at_once(self, tmp_path):
        body = "\nwhile chunk := sys.stdin.buffer.read(4096): sys.stdout.buffer.write(chunk * 3)"
        data = b"z" * 2_000_000
        assert b"".join(fake_git(tmp_path, body).chunks("x", input=data)) == data * 3

    def test_git_that_reads_no_input(self, tmp_path):
        git = fake_git(tmp_path, "sys.stdin.close(); print('done')")
        assert git.out("x", input=b"z" * 2_000_000) == b"done\n"

    def test_status_and_last_line_of_stderr(self, tmp_path):
        git = fake_git(tmp_path, "sys.stderr.write('warning: w\\nfatal: no such thing\\n'); sys.exit(int(sys.argv[-1]))")
        with pytest.raises(run.GitError) as caught:
            git.out("show", "128")
        assert (caught.value.what, caught.value.status) == ("git show 128: no such thing", 128)
        assert isinstance(caught.value, RegenError)
        assert git.ok("x", "0") is True
        assert git.ok("x", "1") is False
        with pytest.raises(run.GitError):
            git.ok("x", "128")
        with pytest.raises(run.GitError):
            list(git.chunks("x", "3"))
        assert git.result("x", "7").status == 7

    def test_records(self, tmp_path):
        assert fake_git(tmp_path, "sys.stdout.write('a\\0b\\0')").lines0("x") == [b"a", b"b"]
        assert fake_git(tmp_path, "").lines0("x") == []
        assert fake_git(tmp_path, "print('one\\ntwo')").text("x") == "one\ntwo"

    def test_a_program_that_cannot_start(self, tmp_path):
        git = fake_git(tmp_path, "")
        (tmp_path / "git").unlink()
        with pytest.raises(RegenError, match="could not be started"):
            git.out("x")


def test_a_consumer_may_stop_early(tmp_path, monkeypatch):
    git = fake_git(tmp_path, "\nwhile True: sys.stdout.write('x' * 65536)")
    spawn, pids = os.posix_spawn, []
    monkeypatch.setattr(os, "posix_spawn", lambda *args, **kwargs: pids.append(spawn(*args, **kwargs)) or pids[-1])
    chunks = git.chunks("x")
    assert next(chunks)
    chunks.close()  # would hang if git were not ended by its closed pipe
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_no_descriptor_leaks(tmp_path):
    git = fake_git(tmp_path, "print(1)")
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    for _ in range(5):
        git.out("x", input=b"y")
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) == before


def test_closed_standard_descriptors(tmp_path):
    """A daemon may run with 0, 1 and 2 closed: our pipes must not land there and be overwritten."""
    fake_git(tmp_path, "sys.stderr.write('err'); sys.stdout.write(sys.stdin.read())")
    code = (
        "import os; os.close(0); os.close(1); os.close(2)\n"
        "from regen_vcs.git.run import Git\n"
        f"result = Git({str(tmp_path)!r}, {{'PATH': {str(tmp_path)!r}}}).result('x', input=b'in')\n"
        f"open({str(tmp_path / 'answer')!r}, 'w').write(repr(tuple(result)))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    assert (tmp_path / "answer").read_text() == "(0, b'in', b'err')"


def test_only_an_absolute_git_is_started(tmp_path, monkeypatch):
    fake_git(tmp_path, "print('evil')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RegenError, match="git was not found"):
        run.Git(str(tmp_path), {"PATH": ".::relative"})


def test_the_hot_path_stays_light():
    code = "import sys; before = set(sys.modules); import regen_vcs.git.index, regen_vcs.git.config, regen_vcs.git.filter_protocol; print(*sorted(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"subprocess", "signal", "enum", "re", "dataclasses", "pathlib", "tempfile", "threading", "logging"}
    assert not heavy & set(loaded)


def test_a_git_that_died_of_ctrl_c_is_our_ctrl_c(tmp_path):
    """In a terminal both get it; git may be dead before our own handler has run."""
    with pytest.raises(KeyboardInterrupt):
        run.Git(str(tmp_path), dict(os.environ)).out("-c", "alias.die=!kill -INT $PPID; kill -INT $$; sleep 5", "die")
