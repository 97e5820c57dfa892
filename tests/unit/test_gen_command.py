"""`command`: what the template lets through, what the program sees, and that nothing of it is left running."""

from __future__ import annotations

import json
import os
import sys
import threading
import time

import pytest

from regen_vcs.errors import Interrupted, InvalidError
from regen_vcs.generators import registry
from regen_vcs.generators.base import JobFailed
from regen_vcs.generators.client import RunnerClient
from regen_vcs.generators.scratch import Scratch, collect_output
from regen_vcs.model.generator_table import code_destinations
from tests.patience import BUSY

WRITE_ARGV = "import json, sys; open(sys.argv[1], 'w').write(json.dumps(sys.argv[2:]))"


@pytest.fixture(scope="module")
def client():
    made = RunnerClient({**os.environ, "FAL_KEY": "not from here", "SECRET_OF_MINE": "x"})
    yield made
    made.close()


class Bench:
    """Runs one program after another as `[generators.tool]` would."""

    def __init__(self, client, folder):
        self.client, self.parent = client, str(folder)

    def run(self, *argv, params=None, asset="out.png", code=(), inputs=(), env=None, cancelled=None, **table):
        """(result, files, files' bytes); the program is this Python."""
        table = {"uses": "command", "argv": [sys.executable, *argv], **table}
        generator = registry.load("command:tool", table)
        with Scratch(self.parent) as scratch:
            self.root = scratch.root
            for name, data in code:
                scratch.add_code(name, data)
            brought = {}
            for role, data in inputs:
                brought[role] = scratch.input_path(role, f"{role}.png")
                with open(brought[role], "wb") as file:
                    file.write(data)
            spec = {
                "generator": "command:tool",
                "table": table,
                "params": registry.complete_params(generator, params or {}),
                "inputs": brought,
                "output": scratch.output_path(asset),
                "scratch": scratch.root,
                "env": env or {},
            }
            result = self.client.run(spec, lambda fraction, message: None, cancelled or threading.Event())
            files = collect_output(scratch, asset) if result.ok else []
            return result, [open(path, "rb").read() for _, path, _ in files]


@pytest.fixture
def bench(client, tmp_path):
    return Bench(client, tmp_path / "scratch")


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


# -- the template --------------------------------------------------------------------------------------------------


def test_each_placeholder_is_one_argument_whatever_is_in_it(bench):
    params = {"prompt": 'rain; rm -rf "$HOME" `id` $(id)\n*', "steps": 20, "strength": 1.0, "neg": -3, "on": True, "list": [1, "a b"]}
    argv = ["-c", WRITE_ARGV, "{output}", *(f"{{params.{name}}}" for name in params), "{inputs.image}", "{}", "100%", "{ x }"]
    result, files = bench.run(*argv, params=params, inputs=[("image", b"pixels")])
    assert result.ok, result.reason
    *told, image, braces, percent, spaced = json.loads(files[0])
    assert told == ['rain; rm -rf "$HOME" `id` $(id)\n*', "20", "1", "-3", "true", '[1,"a b"]']
    assert image == os.path.join(bench.root, "inputs", "image", "image.png")
    assert (braces, percent, spaced) == ("{}", "100%", "{ x }")


def test_code_comes_from_the_scratch_folder(bench):
    code = [("upscale.py", b"import lib.size, sys; open(sys.argv[1], 'w').write(str(lib.size.N))"), ("lib/size.py", b"N = 4")]
    result, files = bench.run("{code}/upscale.py", "{output}", code=code)
    assert result.ok, result.reason
    assert files == [b"4"]


@pytest.mark.parametrize("value", ["-o", "--output=/etc/x", "http://x", "a file://b", ["s3://x"], {"u": "a://b"}], ids=str)
def test_strings_that_could_be_options_or_addresses(value):
    table = {"uses": "command", "argv": ["x", "{params.p}"]}
    with pytest.raises(InvalidError, match="option or an address") as caught:
        registry.complete_params(registry.load("command:tool", table), {"p": value})
    assert caught.value.field == "params.p"
    free = {**table, "params": {"p": {"x-regen-argv": "any"}}}
    assert registry.complete_params(registry.load("command:tool", free), {"p": value}) == {"p": value}


@pytest.mark.parametrize("value", [-1, -0.5, "-18446744073709551616", "a-b", "a:/b", ""])
def test_numbers_and_harmless_strings_are_never_refused(value):
    generator = registry.load("command:tool", {"uses": "command", "argv": ["x", "{params.p}"]})
    assert registry.complete_params(generator, {"p": value}) == {"p": value}


def test_nul_is_refused_even_where_anything_goes():
    table = {"uses": "command", "argv": ["x", "{params.p}"], "params": {"p": {"x-regen-argv": "any"}}}
    with pytest.raises(InvalidError, match="NUL"):
        registry.complete_params(registry.load("command:tool", table), {"p": "a\0b"})


def test_a_recipe_written_by_hand_is_checked_in_the_runner(bench, client, tmp_path):
    table = {"uses": "command", "argv": [sys.executable, "-c", WRITE_ARGV, "{output}", "{params.p}"]}
    with Scratch(str(tmp_path / "s")) as scratch:
        spec = {"generator": "command:tool", "table": table, "params": {"p": "--evil"}, "output": scratch.output_path("a"), "scratch": scratch.root}
        result = client.run(spec, lambda fraction, message: None, threading.Event())
    assert not result.ok
    assert "option" in result.reason


@pytest.mark.parametrize(
    ("table", "field"),
    [
        ({}, "argv"),
        ({"argv": []}, "argv"),
        ({"argv": "x {output}"}, "argv"),
        ({"argv": ["{params.program}"]}, "argv"),
        ({"argv": ["{code}/x.py"]}, "argv"),
        ({"argv": ["x", "--out={output}"]}, "argv"),
        ({"argv": ["x", "a{params.b}c"]}, "argv"),
        ({"argv": ["x", "{code}/../../x"]}, "argv"),
        ({"argv": ["x", "y{code}/z"]}, "argv"),
        ({"argv": ["x", "{outputs}"]}, "argv"),
        ({"argv": ["x", 3]}, "argv"),
        ({"argv": ["x", "{params.scale}"], "params": {"size": {}}}, "argv"),
        ({"argv": ["x"], "env": ["A=b"]}, "env"),
        ({"argv": ["x"], "env": "A"}, "env"),
        ({"argv": ["x"], "code": "x.py"}, "code"),
        ({"argv": ["x"], "code": ["../x.py"]}, "code"),
        ({"argv": ["x"], "code": [".git/hooks/x"]}, "code"),
        ({"argv": ["x"], "timeout": "soon"}, "timeout"),
        ({"argv": ["x"], "timeout": "0"}, "timeout"),
        ({"argv": ["x"], "timeout": 10}, "timeout"),
        ({"argv": ["x"], "params": {"a": {"type": "no"}}}, "params"),
        ({"argv": ["x"], "params": 3}, "params"),
        ({"argv": ["x"], "shell": True}, "shell"),
    ],
    ids=str,
)
def test_tables_that_cannot_be(table, field):
    with pytest.raises(InvalidError) as caught:
        registry.validate_table("command:tool", {"uses": "command", **table})
    assert caught.value.field.startswith(f"generators.tool.{field}")


def test_secret_values_in_the_table_are_not_repeated():
    with pytest.raises(InvalidError) as caught:
        registry.validate_table("command:tool", {"uses": "command", "argv": ["x"], "env": ["FAL_KEY=hunter2"]})
    assert "hunter2" not in caught.value.what


def test_code_keeps_its_place_below_the_folder_without_wildcards():
    paths = ["tools/upscale.py", "tools/lib/a.py", "tools/lib/b.txt", "other/a.py"]
    assert code_destinations(["tools/upscale.py"], paths) == {"upscale.py": "tools/upscale.py"}
    assert code_destinations(["tools/**/*.py"], paths) == {"upscale.py": "tools/upscale.py", "lib/a.py": "tools/lib/a.py"}
    with pytest.raises(InvalidError, match="would both be"):
        code_destinations(["tools/lib/*.py", "other/*.py"], paths)


# -- what it sees --------------------------------------------------------------------------------------------------


def test_the_environment_is_an_allow_list(bench, monkeypatch):
    program = "import json, os, sys; open(sys.argv[1], 'w').write(json.dumps(dict(os.environ)))"
    _, files = bench.run("-c", program, "{output}", env={"FAL_KEY": "k", "HOME": "/evil", "PATH": "/evil"})
    seen = json.loads(files[0])
    home = os.path.join(bench.root, "home")
    assert seen["FAL_KEY"] == "k"
    assert (seen["HOME"], seen["TMPDIR"]) == (home, home)
    assert "/evil" not in seen["PATH"]
    allowed = {"FAL_KEY", "HOME", "TMPDIR", "TEMP", "TMP", "PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ"}
    assert set(seen) <= allowed
    assert all(os.path.isabs(part) for part in seen["PATH"].split(os.pathsep))


def test_secrets_are_blotted_out_of_log_and_reason(bench):
    program = (
        "import os, sys, time; key = os.environ['FAL_KEY']; sys.stdout.write('x' * 65500 + key[:9]); sys.stdout.flush(); "
        "time.sleep(0.1); print(key[9:], key, file=sys.stdout); sys.stdout.flush(); sys.exit('bad key ' + key)"
    )
    result, _ = bench.run("-c", program, env={"FAL_KEY": "sekrit-0123456789", "SHORT": "sekrit"})
    assert not result.ok
    assert b"***" in result.log
    assert b"sekrit" not in result.log
    assert b"0123456789" not in result.log
    assert "sekrit" not in result.reason
    assert "bad key" in result.reason


def test_it_runs_in_the_scratch_folder_with_an_empty_input(bench):
    program = "import os, sys; open(sys.argv[1], 'w').write(os.getcwd() + '|' + sys.stdin.read())"
    _, files = bench.run("-c", program, "{output}")
    assert files[0].decode() == os.path.realpath(bench.root) + "|"


# -- how it ends ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import sys; sys.exit(3)", "ended with exit code 3"),
        ("import sys; sys.exit('no such model')", "ended with exit code 1: no such model"),
        ("import os; os.kill(os.getpid(), 11)", "ended with SIGSEGV"),
        ("raise ValueError('half a picture')", "ValueError: half a picture"),
    ],
)
def test_a_failure_says_why(bench, program, reason):
    result, _ = bench.run("-c", program, "{output}")
    assert not result.ok
    assert reason in result.reason


def test_a_program_that_is_not_there(bench, client, tmp_path):
    for program in ("no-such-program", "/no/such/program", "./no-such-program", str(tmp_path)):
        table = {"uses": "command", "argv": [program]}
        with Scratch(str(tmp_path / "s")) as scratch:
            spec = {"generator": "command:tool", "table": table, "params": {}, "output": scratch.output_path("a"), "scratch": scratch.root}
            result = client.run(spec, lambda fraction, message: None, threading.Event())
        assert not result.ok
        assert program in result.reason
    assert client.alive


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("pass", "wrote no output"),
        ("import sys; open(sys.argv[1], 'w')", "is empty"),
        ("import os, sys; os.symlink('/etc/passwd', sys.argv[1])", "link"),
        ("import os, sys; os.link(__file__, sys.argv[1]) if 0 else os.mkfifo(sys.argv[1])", "device"),
        ("import os, sys; os.mkdir(sys.argv[1])", "empty folder"),
        ("import os, sys; d = os.path.dirname(sys.argv[1]); os.rmdir(d); os.symlink('/etc', d)", "replaced its output folder"),
    ],
)
def test_output_that_is_none(bench, program, reason):
    with pytest.raises(JobFailed, match=reason):
        bench.run("-c", program, "{output}")


def test_what_it_writes_elsewhere_is_not_taken(bench, tmp_path):
    program = (
        "import os, sys; open(sys.argv[1], 'w').write('picture'); open(sys.argv[1] + '.xmp', 'w').write('x'); "
        "open(os.environ['TMPDIR'] + '/junk', 'w').write('x'); open('cwd-junk', 'w').write('x'); "
        f"open({str(tmp_path / 'outside')!r}, 'w').write('x')"
    )
    result, files = bench.run("-c", program, "{output}")
    assert result.ok
    assert files == [b"picture"]
    assert (tmp_path / "outside").exists()  # consent, not a sandbox: docs/security.md
    assert not os.path.exists(bench.root)


def test_a_timeout_ends_the_whole_group(bench, tmp_path):
    """Child and grandchild, both deaf to SIGTERM."""
    pids = tmp_path / "pids"
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    program = (
        "import os, signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        f"p = subprocess.Popen([sys.executable, '-c', {deaf!r}]); "
        f"open({str(pids)!r}, 'w').write(str(os.getpid()) + ' ' + str(p.pid)); time.sleep(60)"
    )
    started = time.monotonic()
    result, _ = bench.run("-c", program, "{output}", timeout="1500ms")
    assert time.monotonic() - started < 1.5 + 2 + BUSY
    assert not result.ok
    assert "timeout of 1.5 s" in result.reason
    assert wait_for(lambda: not any(alive(pid) for pid in pids.read_text().split()), BUSY)
    assert bench.client.alive  # the runner itself goes on


def test_what_it_leaves_running_ends_with_it(bench, tmp_path):
    pids = tmp_path / "pids"
    program = (
        "import subprocess, sys; p = subprocess.Popen(['sleep', '60']); "
        f"open({str(pids)!r}, 'w').write(str(p.pid)); open(sys.argv[1], 'w').write('x')"
    )
    result, files = bench.run("-c", program, "{output}")
    assert result.ok
    assert files == [b"x"]
    assert wait_for(lambda: not alive(pids.read_text()), BUSY)  # what was killed is gone a moment later


def test_cancel_ends_the_whole_group_within_two_seconds(bench, tmp_path):
    pids, cancelled = tmp_path / "pids", threading.Event()
    program = (
        "import os, signal, subprocess, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); p = subprocess.Popen(['sleep', '60']); "
        f"open({str(pids)!r} + '.part', 'w').write(str(os.getpid()) + ' ' + str(p.pid)); "
        f"os.rename({str(pids)!r} + '.part', {str(pids)!r}); time.sleep(60)"
    )
    asked = []

    def cancel():
        wait_for(pids.exists, 20)
        asked.append(time.monotonic())
        cancelled.set()

    threading.Thread(target=cancel).start()
    with pytest.raises(Interrupted):
        bench.run("-c", program, "{output}", cancelled=cancelled)
    assert time.monotonic() - asked[0] < 2 + BUSY
    assert wait_for(lambda: not any(alive(pid) for pid in pids.read_text().split()), BUSY)


def test_a_flood_of_output_is_bounded(bench):
    """100 MB: the head and the tail are kept, and nobody waits for a pipe."""
    program = (
        "import sys; print('first line'); "
        "[sys.stdout.write('x' * 99999 + '\\n') for _ in range(1000)]; print('last line'); open(sys.argv[1], 'w').write('p')"
    )
    result, files = bench.run("-c", program, "{output}")
    assert result.ok
    assert files == [b"p"]
    assert result.log.startswith(b"first line\n")
    assert result.log.endswith(b"last line\n")
    assert len(result.log) < 3 << 20
    assert b"bytes left out" in result.log


def test_logs_of_two_jobs_do_not_mix(bench):
    for number in range(20):
        result, _ = bench.run("-c", f"import sys; print('job', {number}); sys.stderr.write('err'); open(sys.argv[1], 'w').write('x')", "{output}")
        assert sorted(result.log.split()) == sorted([b"job", str(number).encode(), b"err"]) or result.log == f"errjob {number}\n".encode()
