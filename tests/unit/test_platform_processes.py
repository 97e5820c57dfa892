"""Children in groups of their own: what they print, how they end, and that nothing of them stays."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from regen_vcs.errors import RegenError
from regen_vcs.platform.files import process_exists
from regen_vcs.platform.processes import kill_group, run_group, start_group

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX process groups")


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"


def wait_gone(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if not process_exists(pid) or _state(pid) == "Z":
            return True
        time.sleep(0.02)
    return False


def test_output_and_exit_code():
    chunks = []
    done = run_group(
        python("import sys; print('out', flush=True); print('err', file=sys.stderr); sys.exit(3)"),
        on_output=chunks.append,
    )
    assert done.code == 3
    assert done.output == b"".join(chunks) == b"out\nerr\n"
    assert not done.timed_out
    assert not done.cancelled


def test_input_environment_and_folder(tmp_path):
    code = "import os, sys; sys.stdout.write(sys.stdin.read() + os.environ.get('A', '') + os.environ.get('HOME', '-') + os.getcwd())"
    done = run_group(python(code), input=b"in" * 100_000, env={"A": "b"}, cwd=str(tmp_path), keep_bytes=1 << 20)
    assert done.output == b"in" * 100_000 + b"b-" + os.fsencode(tmp_path)


def test_stdin_is_empty_by_default():
    assert run_group(python("import sys; print(len(sys.stdin.read()))"), timeout=30).output == b"0\n"


def test_only_the_tail_of_the_output_is_kept():
    done = run_group(python("print('x' * 500_000 + 'end')"), keep_bytes=100)
    assert len(done.output) == 100
    assert done.output.endswith(b"end\n")
    assert run_group(python("print('x')"), keep_bytes=0).output == b""


def test_a_time_limit_ends_the_whole_group(tmp_path):
    pid_file = tmp_path / "pid"
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(pid_file)!r}, 'w').write(str(child.pid))\ntime.sleep(60)"
    )
    start = time.monotonic()
    done = run_group(python(code), timeout=1.5)
    assert done.timed_out
    assert done.code == -signal.SIGTERM
    assert time.monotonic() - start < 20
    assert wait_gone(int(pid_file.read_text()))


def test_who_ignores_term_is_killed():
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
    ready = []
    done = run_group(python(code), cancelled=lambda: bool(ready), on_output=ready.append, grace=0.3)
    assert done.cancelled
    assert done.code == -signal.SIGKILL


def test_what_a_finished_child_left_running_ends_too(tmp_path):
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\nprint(child.pid)"
    )
    start = time.monotonic()
    done = run_group(python(code))
    assert done.code == 0
    assert wait_gone(int(done.output))
    assert time.monotonic() - start < 20


def test_an_interrupt_of_ours_ends_the_child():
    seen = []

    def interrupted():
        if seen:
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        run_group(
            python("import os, time; print(os.getpid(), flush=True); time.sleep(60)"),
            on_output=seen.append,
            cancelled=interrupted,
        )
    assert wait_gone(int(seen[0]))


def test_killing_by_hand():
    proc = start_group(python("import time; time.sleep(60)"))
    assert os.getpgid(proc.pid) == proc.pid != os.getpgid(0)
    assert kill_group(proc) == -signal.SIGTERM
    assert kill_group(proc) == -signal.SIGTERM
    proc.stdout.close()


def test_no_descriptor_of_ours_is_inherited(tmp_path):
    with open(tmp_path / "secret", "w") as file:
        os.set_inheritable(file.fileno(), True)
        done = run_group(python(f"import os\ntry:\n os.fstat({file.fileno()}); print('open')\nexcept OSError: print('closed')"))
    assert done.output == b"closed\n"


def test_programs_that_cannot_be_started(tmp_path):
    with pytest.raises(RegenError, match="no-such-program: not found"):
        run_group(["no-such-program"])
    with pytest.raises(RegenError, match="gone: not found"):
        run_group([sys.executable], cwd=str(tmp_path / "gone"))
    (tmp_path / "data").write_text("x")
    with pytest.raises(RegenError, match="cannot be started"):
        run_group([str(tmp_path / "data")])
