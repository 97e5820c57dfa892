"""`executor`: jobs run by a program of the user's, and what it brings back is believed only after it was checked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.patience import BUSY
from tests.real_git.farm import PYTHON, SECRET, Machine, farm_that_runs, make_project, write_farm


@pytest.fixture
def farmed(project):
    return make_project(project)


@pytest.fixture
def machine(tmp_path) -> Machine:
    return Machine(tmp_path)


def use(farmed, farm: Path, *more: str) -> None:
    farmed.git("config", "regen.executor", f"'{farm}' {{job}} {{result}} " + " ".join(more))


def test_a_farm_makes_it(farmed, machine, tmp_path):
    use(farmed, farm_that_runs(tmp_path, machine))
    farmed.env["FARM_KEY"] = SECRET
    assert "made     out.bin" in farmed.regen("regenerate", "out.bin").stdout
    assert farmed.path("out.bin").read_bytes() == b"some notes\n" * 2
    assert farmed.status()["out.bin"] == "ok"
    assert farmed.regen("show", "--log", "out.bin").stdout == "the key is ***\n"
    assert not list(machine.folder.iterdir()), "the result went where it was wanted"


def test_named_words_are_whole_arguments_and_there_is_no_shell(farmed, tmp_path):
    farm = write_farm(tmp_path, f"""
        printf '%s\\n' "$@" > '{tmp_path}/seen'
        exit 1
    """)
    use(farmed, farm, "{key}", "{name}", "'$(touch never)'")
    farmed.regen("regenerate", "out.bin", check=False)
    job, result, key, name, last = (tmp_path / "seen").read_text().splitlines()
    assert job.endswith("/out.bin.regenjob") and result.endswith("/out.bin.regenresult")
    assert (name, last, len(key)) == ("out.bin", "$(touch never)", 64)


def test_what_is_exact_and_ours_is_made_here(farmed, tmp_path):
    use(farmed, write_farm(tmp_path, "exit 1"))
    farmed.regen("generate", "sky.png", "--generator", "texture", "--param", "kind=fbm", "--param", "width=16", "--param", "height=16")
    assert farmed.status()["sky.png"] == "ok"


def other_result(farmed, machine) -> Path:
    """A sound result, but of another job."""
    farmed.regen("generate", "other.bin", "--generator", "command:times", "--input", "source=notes.txt", "--param", "times=7", "--no-run")
    farmed.regen("job", "export", "other.bin", "-o", str(machine.folder / "other.regenjob"))
    done = machine.regen("job", "run", "other.regenjob", "--trust")
    assert done.returncode == 0, done.stderr
    return machine.folder / "other.regenresult"


BAD_FARMS = {
    "loses the result": ("echo lost it in the post", "brought no result: lost it in the post"),
    "fails": ("echo no node is free; exit 9", "exit code 9 and brought no result: no node is free"),
    "is killed": ("kill -9 $$", "signal 9"),
    "brings another job's": ("cp '{other}' \"$2\"", "of another job (other.bin"),
    "brings half of it": ("head -c 700 '{other}' > \"$2\"", "damaged"),
    "brings a link": ("ln -s /etc/passwd \"$2\"", "damaged"),
    "brings a folder": ("mkdir \"$2\"", "not a regular file"),
    "brings the job back": ("cp \"$1\" \"$2\"", "job.json"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_FARMS)
def test_a_farm_that(farmed, machine, tmp_path, kind):
    body, word = BAD_FARMS[kind]
    other = other_result(farmed, machine) if "{other}" in body else ""
    use(farmed, write_farm(tmp_path, body.replace("{other}", str(other))))
    done = farmed.regen("regenerate", "out.bin", check=False)
    assert done.returncode == 1 and word in done.stderr, done.stderr
    assert not farmed.path("out.bin").exists()
    assert farmed.status()["out.bin"] == "failed"
    assert "takes" not in farmed.regen("show", "out.bin").stdout.split("\n"), "nothing was filed"


def test_a_job_that_failed_there_fails_here_with_its_reason(farmed, machine, tmp_path):
    use(farmed, farm_that_runs(tmp_path, machine))
    farmed.regen("set", "out.bin", "times=0")
    done = farmed.regen("regenerate", "out.bin", check=False)
    assert done.returncode == 1 and "exit code 3: the key is" in done.stderr
    assert farmed.regen("show", "--log", "out.bin").stdout.startswith("the key is")


def test_a_job_that_the_farm_does_not_trust_says_so(farmed, machine, tmp_path):
    farm = farm_that_runs(tmp_path, machine)
    farm.write_text(farm.read_text().replace(" --trust", ""))
    use(farmed, farm)
    done = farmed.regen("regenerate", "out.bin", check=False)
    assert "not trusted" in done.stderr


def test_what_the_farm_prints_is_the_log_without_our_secrets(farmed, tmp_path):
    farmed.env["FARM_KEY"] = SECRET
    use(farmed, write_farm(tmp_path, 'echo "submitting with $FARM_KEY"; exit 1'))
    done = farmed.regen("regenerate", "out.bin", check=False)
    assert "submitting with ***" in done.stderr and SECRET not in done.stderr
    assert farmed.regen("show", "--log", "out.bin").stdout == "submitting with ***\n"


def test_untrusted_code_is_not_sent_to_a_farm(farmed, tmp_path):
    use(farmed, write_farm(tmp_path, f"touch '{tmp_path}/asked'"))
    farmed.regen("trust", "--revoke")
    assert farmed.regen("regenerate", "out.bin", check=False).returncode == 4
    assert not (tmp_path / "asked").exists()


def test_a_timeout_ends_it(project, tmp_path):
    make_project(project, 'timeout = "1s"\n')
    use(project, write_farm(tmp_path, "sleep 60"))
    began = time.monotonic()
    done = project.regen("regenerate", "out.bin", check=False)
    assert "longer than its timeout" in done.stderr
    assert time.monotonic() - began < 15


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_cancelled_job_ends_its_whole_group_within_two_seconds(farmed, tmp_path):
    use(farmed, write_farm(tmp_path, f"""
        trap '' TERM
        sleep 300 &
        echo $! > '{tmp_path}/child'
        echo $$ > '{tmp_path}/self'
        wait
    """))
    proc = subprocess.Popen(
        [PYTHON, "-I", "-m", "regen_vcs", "regenerate", "out.bin"], cwd=farmed.root, env=farmed.env,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 30
    while not (tmp_path / "self").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.1)
    pids = [int((tmp_path / name).read_text()) for name in ("child", "self")]
    assert all(map(alive, pids))
    proc.send_signal(signal.SIGINT)
    told = time.monotonic()
    while any(map(alive, pids)) and time.monotonic() - told < 10:
        time.sleep(0.02)
    assert time.monotonic() - told < 2 + BUSY
    assert proc.wait(30) == 130


def test_what_the_farm_says_it_cost_is_kept(project, machine, tmp_path):
    make_project(project, "paid = true\ncost = 0.25\n")
    use(project, farm_that_runs(tmp_path, machine))
    project.regen("regenerate", "out.bin")
    jobs = json.loads(project.regen("queue", "--json").stdout)["jobs"]
    assert [job["cost"] for job in jobs] == [0.25]


@pytest.mark.parametrize("words", [
    "/farm/run.sh {job}", "/farm/run.sh --in={job} {result}", "{job} {result}", "farm/run.sh {job} {result}", "run '{job} {result}", "",
])  # fmt: skip
def test_a_template_that_would_not_work_is_refused(farmed, words):
    farmed.git("config", "regen.executor", words)
    done = farmed.regen("config", "executor", check=False)
    assert done.returncode == 3 and "{job}" in done.stderr


def test_as_a_list_in_the_users_own_file_and_never_in_the_repositorys(farmed, home, tmp_path):
    folder = Path(home.env["REGEN_CONFIG_DIR"])
    folder.mkdir(exist_ok=True)
    line = 'executor = ["/bin/my farm", "{job}", "{result}"]\n'
    (folder / "config.toml").write_text(line)
    assert farmed.regen("config", "executor").stdout.strip() == "'/bin/my farm' '{job}' '{result}'"
    farmed.write("regen.toml", line.encode())
    assert farmed.regen("config", check=False).returncode == 3


def test_a_worker_uses_it_too(farmed, machine, tmp_path):
    use(farmed, farm_that_runs(tmp_path, machine))
    farmed.regen("regenerate", "--queue", "out.bin")
    farmed.regen("worker")
    assert farmed.status()["out.bin"] == "proposed"
    assert os.listdir(machine.folder) == []
