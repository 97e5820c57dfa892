"""One job in a file: packed here, run where there is no clone, its result checked and filed at home."""

from __future__ import annotations

import json
import os
import pty
import shutil
import stat
import subprocess
import time
import zipfile
from pathlib import Path

import pytest
from blake3 import blake3

from regen_vcs.engine.job_file import open_job, unpack_job
from regen_vcs.engine.job_result import open_result, unpack_result, write_result
from regen_vcs.errors import CorruptionError, InvalidError, RegenError
from regen_vcs.generators.client import Result
from regen_vcs.generators.scratch import Scratch, collect_output
from regen_vcs.model.canonical import canonical_bytes
from regen_vcs.model.recipe import Recipe, recipe_bytes
from tests.conftest import Home
from tests.real_git.farm import PYTHON, SECRET, Machine, make_project


@pytest.fixture
def farmed(project):
    return make_project(project)


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    """A folder with a job and its result, both as they should be."""
    base = tmp_path_factory.mktemp("sound")
    machine = Machine(base)
    run(make_project(Home(base / "user").repo()), machine)
    return machine.folder


@pytest.fixture
def job(sound, tmp_path) -> Path:
    return Path(shutil.copy(sound / "out.bin.regenjob", tmp_path))


@pytest.fixture
def result(sound, tmp_path) -> Path:
    return Path(shutil.copy(sound / "out.bin.regenresult", tmp_path))


def unpack(path: Path) -> None:
    """All that is done with a job before anything of it runs."""
    with open_job(str(path)) as (found, archive), Scratch(str(path.parent / "scratch")) as scratch:
        unpack_job(found, archive, scratch)


def unpack_output(path: Path) -> None:
    """All that is done with a result before anything of it is filed."""
    with open_result(str(path)) as (found, archive), Scratch(str(path.parent / "scratch")) as scratch:
        unpack_result(found, archive, scratch, found.job.path)
        collect_output(scratch, found.job.path)


@pytest.fixture
def machine(tmp_path) -> Machine:
    return Machine(tmp_path)


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def document(path: Path, name: str = "job.json") -> dict:
    return json.loads(members(path)[name])


def pack(path: Path, entries: list[tuple[str, bytes]], *, compress: bool = False) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED) as archive:
        for name, data in entries:
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED)
    return path


def export(farmed, machine, asset: str = "out.bin") -> Path:
    target = machine.folder / f"{os.path.basename(asset)}.regenjob"
    farmed.regen("job", "export", asset, "-o", str(target))
    return target


def run(farmed, machine, asset: str = "out.bin") -> Path:
    job = export(farmed, machine, asset)
    done = machine.regen("job", "run", job.name, "--trust")
    assert done.returncode == 0, done.stderr
    return machine.folder / f"{os.path.basename(asset)}.regenresult"


def test_there_and_back(farmed, machine):
    result = run(farmed, machine)
    assert "proposed out.bin" in farmed.regen("job", "import", str(result)).stdout
    assert farmed.path("out.bin").read_bytes() == b"some notes\n" * 2
    assert farmed.status()["out.bin"] == "proposed"
    assert "output" not in json.loads(farmed.path("out.bin.regen.json").read_text()), "import accepts nothing"
    farmed.regen("accept", "out.bin")
    assert farmed.status()["out.bin"] == "ok"
    again = json.loads(farmed.regen("job", "import", str(result), "--json").stdout)
    assert [each["verdict"] for each in again["imported"]] == ["restored"]
    assert len(json.loads(farmed.regen("show", "out.bin", "--json").stdout)["takes"]) == 1, "the same take twice is one"


def test_the_same_job_is_the_same_bytes(farmed, machine):
    first = export(farmed, machine).read_bytes()
    time.sleep(0.01)
    assert export(farmed, machine).read_bytes() == first


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_not_replaced(farmed, machine, make):
    """`-o /dev/full`, said by root, once left a file where the device had been."""
    target = machine.folder / "target"
    make(target)
    before = target.stat().st_ino
    done = farmed.regen("job", "export", "out.bin", "-o", str(target), check=False)
    assert done.returncode == 1 and "is not a regular file" in done.stderr
    assert target.stat().st_ino == before and not target.is_file()


def test_by_its_key(farmed, machine):
    key = json.loads(farmed.regen("show", "out.bin", "--json").stdout)["key"]
    done = json.loads(farmed.regen("job", "export", key, "-o", str(machine.folder / "x"), "--json").stdout)
    assert (done["path"], done["key"]) == ("out.bin", key)
    assert farmed.regen("job", "export", "0" * 64, check=False).returncode == 2


def test_secrets_travel_by_name_only(farmed, machine):
    farmed.env["FARM_KEY"] = SECRET
    job = export(farmed, machine)
    assert SECRET.encode() not in job.read_bytes()
    assert document(job)["table"]["env"] == ["FARM_KEY"]
    result = run(farmed, machine)
    assert SECRET.encode() not in result.read_bytes()
    assert b"the key is ***\n" in members(result).values(), "the value came from the machine that ran it, and is blotted out"


def test_an_exact_built_in_needs_no_trust(farmed, machine):
    farmed.regen("generate", "sky.png", "--generator", "texture", "--param", "kind=fbm", "--param", "seed=3",
                 "--param", "width=16", "--param", "height=16")
    job = export(farmed, machine, "sky.png")
    done = machine.regen("job", "run", job.name)
    assert done.returncode == 0, done.stderr
    farmed.path("sky.png").unlink()
    assert "restored sky.png" in farmed.regen("job", "import", str(machine.folder / "sky.png.regenresult")).stdout


def test_a_directory_and_a_sequence_as_inputs(farmed, machine, home):
    for number in (1, 2):
        farmed.write(f"frames/f.{number:04}.bin", b"frame %d\n" % number)
    farmed.write("plates/a.bin", b"plate\n")
    farmed.regen("add", "--as-one", "plates")
    farmed.regen("add", "frames/f.####.bin")
    farmed.regen("generate", "both.bin", "--generator", "command:times", "--input", "source=plates", "--no-run")
    farmed.regen("generate", "seq.bin", "--generator", "command:times", "--input", "source=frames/f.####.bin", "--no-run")
    farmed.regen("job", "import", str(run(farmed, machine, "both.bin")))
    assert farmed.path("both.bin").read_bytes() == b"plate\n" * 2
    files = document(export(farmed, machine, "seq.bin"))["inputs"]["source"]["files"]
    assert [each["name"] for each in files] == ["1.bin", "2.bin"]


def test_what_is_not_trusted_is_shown_and_not_run(farmed, machine):
    job = export(farmed, machine)
    done = machine.regen("job", "run", job.name)
    assert done.returncode == 4
    for shown in ("times.py", "FARM_KEY", "notes.txt", "command:times", "{inputs.source}"):
        assert shown in done.stderr
    assert document(machine.folder / "out.bin.regenresult", "result.json")["ok"] is False


def answer(machine: Machine, argv: list[str], text: str) -> tuple[int, str]:
    """Run it on a terminal and type `text`."""
    parent, child = pty.openpty()
    proc = subprocess.Popen(argv, cwd=machine.folder, env=machine.env, stdin=child, stdout=child, stderr=child, start_new_session=True)
    os.close(child)
    os.write(parent, text.encode())
    seen = b""
    try:
        while chunk := os.read(parent, 4096):
            seen += chunk
    except OSError:
        pass  # the terminal's other end is closed
    os.close(parent)
    return proc.wait(30), seen.decode()


def test_allowed_once_is_remembered_for_the_same_code_only(farmed, machine):
    job = export(farmed, machine)
    argv = [PYTHON, "-I", "-m", "regen_vcs", "job", "run", job.name]
    code, shown = answer(machine, argv, "n\n")
    assert code == 4 and "Let this run" in shown
    assert answer(machine, argv, "y\n")[0] == 0
    farmed.regen("set", "out.bin", "times=5")
    assert machine.regen("job", "run", export(farmed, machine).name).returncode == 0, "other params, same code"
    farmed.write("tools/times.py", farmed.path("tools/times.py").read_bytes() + b"# changed\n")
    farmed.regen("trust", "--yes")
    farmed.git("add", "-A")
    farmed.regen("regenerate", "out.bin")
    assert machine.regen("job", "run", export(farmed, machine).name).returncode == 4


def test_a_job_that_fails_brings_its_reason_home(farmed, machine):
    farmed.regen("set", "out.bin", "times=0")
    job = export(farmed, machine)
    done = machine.regen("job", "run", job.name, "--trust")
    assert done.returncode == 1 and "exit code 3" in done.stderr
    brought = farmed.regen("job", "import", str(machine.folder / "out.bin.regenresult"), check=False)
    assert brought.returncode == 1 and "exit code 3" in brought.stderr
    assert farmed.status()["out.bin"] == "failed"
    assert "the key is ***" in farmed.regen("show", "--log", "out.bin").stdout


def test_a_task_that_a_farm_ends_leaves_nothing_behind(farmed, machine):
    farmed.regen("set", "out.bin", "wait=300")
    job = export(farmed, machine)
    proc = subprocess.Popen(
        [PYTHON, "-I", "-m", "regen_vcs", "job", "run", job.name, "--trust"], cwd=machine.folder, env=machine.env,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    scratch = Path(machine.env["HOME"]) / ".cache/regen-vcs/scratch"
    deadline = time.monotonic() + 30
    while not list(scratch.glob("job-*/code/times.py")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    proc.terminate()
    assert proc.wait(10) == 130
    assert not list(scratch.iterdir())
    assert not (machine.folder / "out.bin.regenresult").exists()


def test_filed_under_its_own_key_where_the_recipe_has_changed(farmed, machine):
    result = run(farmed, machine)
    farmed.regen("set", "out.bin", "times=3")
    assert "filed    out.bin" in farmed.regen("job", "import", str(result)).stdout
    assert not farmed.path("out.bin").exists()
    farmed.regen("set", "out.bin", "times=2")
    assert "from the cache" in farmed.regen("regenerate", "--stale").stdout, "nothing has to be made again"


def test_an_asset_that_was_moved_meanwhile(farmed, machine):
    result = run(farmed, machine)
    farmed.path("deep").mkdir()
    farmed.regen("mv", "out.bin", "deep/new.bin")
    assert "proposed deep/new.bin" in farmed.regen("job", "import", str(result)).stdout


def test_what_comes_from_elsewhere_proves_nothing(farmed, machine, home):
    """An exact built-in's take of our own goes to the cache; somebody else's stays in keep."""
    farmed.regen("generate", "sky.png", "--generator", "texture", "--param", "kind=fbm", "--param", "seed=3",
                 "--param", "width=16", "--param", "height=16", "--no-run")
    result = run(farmed, machine, "sky.png")
    farmed.regen("job", "import", str(result))
    digest = document(result, "result.json")["files"][0]["hash"].removeprefix("blake3:")
    assert (home.keep / "v1/objects" / digest[:2] / digest[2:]).exists()


def test_a_missing_input_is_told_before_anything_is_written(farmed, machine):
    farmed.regen("generate", "far.bin", "--generator", "command:times", "--input", "source=out.bin", "--no-run")
    done = farmed.regen("job", "export", "far.bin", check=False)
    assert done.returncode == 1 and "pending" in done.stderr
    assert not list(farmed.root.glob("*.regenjob"))


def test_a_budget_holds_for_jobs_too(project, machine):
    make_project(project, "paid = true\ncost = 0.5\n")
    machine.env["REGEN_BUDGET"] = "0.25"
    done = machine.regen("job", "run", export(project, machine).name, "--trust")
    assert done.returncode == 1 and "over the budget" in done.stderr
    machine.env["REGEN_BUDGET"] = "0.75"
    assert machine.regen("job", "run", "out.bin.regenjob", "--trust").returncode == 0
    assert document(machine.folder / "out.bin.regenresult", "result.json")["cost"] == 0.5


# -- files that somebody has tampered with -----------------------------------------------------------------------------


def changed(path: Path, change, name: str = "job.json") -> Path:
    """The same archive with another document."""
    entries = members(path)
    doc = json.loads(entries[name])
    change(doc, entries)
    entries[name] = canonical_bytes(doc)
    return pack(path, list(entries.items()))


def other_code(doc, entries):
    data = b"import os; os.system('touch /tmp/never')"
    entries.pop("objects/" + doc["code"]["times.py"]["hash"].removeprefix("blake3:"))
    digest = blake3(data).hexdigest()
    doc["code"]["times.py"] = {"hash": f"blake3:{digest}", "size": len(data)}
    entries[f"objects/{digest}"] = data


def rename_code(doc, _):
    doc["code"]["../../evil.py"] = doc["code"].pop("times.py")


JOB_CHANGES = {
    "another param": (lambda doc, _: doc["recipe"]["params"].update(times=99), 6, "key"),
    "another key": (lambda doc, _: doc.update(key="0" * 64), 6, "key"),
    "another program": (lambda doc, _: doc["table"].update(argv=["sh", "{output}"]), 6, "definition"),
    "other code": (other_code, 6, "definition"),
    "code elsewhere": (rename_code, 3, "'..'"),
    "an asset elsewhere": (lambda doc, _: doc.update(path="../../out.bin"), 3, ".."),
    "an input laid out elsewhere": (lambda doc, _: doc["inputs"]["source"].update(target="../../etc/x"), 3, "inputs"),
    "a size that is not so": (lambda doc, _: doc["inputs"]["source"].update(size=1 << 60), 3, "bytes"),
    "an input that is not there": (lambda doc, _: doc["inputs"]["source"].update(hash="blake3:" + "1" * 64), 6, "key"),
    "a field we do not know": (lambda doc, _: doc.update(surprise=1), 3, "nothing else"),
    "a newer format": (lambda doc, _: doc.update({"regen-job": 2}), 3, "newer"),
    "an output of its own": (lambda doc, _: doc["recipe"].update(output={"hash": "blake3:" + "1" * 64, "size": 1, "key": "1" * 64}), 3, "output"),
    "an object nobody names": (lambda doc, entries: entries.update({"objects/" + "a" * 64: b"x"}), 3, "nothing names"),
    "bytes that are not theirs": (
        lambda doc, entries: entries.update({"objects/" + doc["inputs"]["source"]["hash"][7:]: b"some NOTES\n"}), 6, "other bytes",
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", JOB_CHANGES)
def test_a_job_that_is_not_what_it_says(job, tmp_path, change):
    how, code, word = JOB_CHANGES[change]
    unpack(job)
    with pytest.raises(RegenError) as found:
        unpack(changed(job, how))
    assert (found.value.exit_code, word in found.value.what) == (code, True), found.value.what
    assert found.value.what.startswith(str(job))
    assert not list(tmp_path.rglob("*evil*"))


def test_a_job_that_was_tampered_with_does_not_run(job, machine, tmp_path):
    changed(job, other_code)
    done = machine.regen("job", "run", str(job), "--trust")
    assert done.returncode == 6 and "definition" in done.stderr
    assert not list(machine.folder.iterdir()), "no result either"


def link_entry() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("objects/" + "b" * 64)
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return info


def shape(kind: str, path: Path, entries: dict[str, bytes]) -> None:
    job = entries["job.json"]
    if kind in ("../evil", "/evil", "objects/../../evil", "evil/", "objects/" + "A" * 64, ".git/config"):
        pack(path, [*entries.items(), (kind, b"x")])
    elif kind == "twice":
        pack(path, [("job.json", job), *entries.items()])
    elif kind == "a link":
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(link_entry(), b"/etc/passwd")
    elif kind == "a bomb":
        pack(path, [*entries.items(), ("objects/" + "c" * 64, b"\0" * (1 << 24))], compress=True)
    elif kind == "overlapping":
        data = bytearray(path.read_bytes())
        at = data.index(b"PK\1\2")
        # The directory claims an entry larger than all of the file.
        data[at + 20 : at + 28] = (1 << 30).to_bytes(4, "little") * 2
        path.write_bytes(data)
    elif kind == "cut off":
        path.write_bytes(path.read_bytes()[:-30])
    elif kind == "a long directory":
        data = bytearray(path.read_bytes())
        data[-12:-8] = b"\xff\xff\xff\x7f"
        path.write_bytes(data)
    elif kind == "a large directory behind it":
        record = b"PK\6\6" + (44).to_bytes(8, "little") + b"\0" * 28 + (1 << 40).to_bytes(8, "little") + (1 << 50).to_bytes(8, "little") + b"\0" * 8
        locator = b"PK\6\7" + b"\0" * 16
        data = path.read_bytes()
        path.write_bytes(data[:-22] + record[:56] + locator + data[-22:])
    elif kind == "nothing":
        path.write_bytes(b"")
    elif kind == "no document":
        pack(path, [(name, data) for name, data in entries.items() if name != "job.json"])
    elif kind == "a document of its own kind":
        pack(path, [("job.json", b"[1]")])
    elif kind == "deep nesting":
        pack(path, [("job.json", b"[" * 100_000)])
    elif kind == "a folder":
        path.unlink()
        path.mkdir()
    elif kind == "a pipe":
        path.unlink()
        os.mkfifo(path)


SHAPES = [
    "../evil", "/evil", "objects/../../evil", "evil/", "objects/" + "A" * 64, ".git/config", "twice", "a link", "a bomb", "overlapping",
    "cut off", "a long directory", "a large directory behind it", "nothing", "no document", "a document of its own kind", "deep nesting",
    "a folder", "a pipe",
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", SHAPES)
def test_an_archive_that_is_not_ours(job, tmp_path, kind):
    shape(kind, job, members(job))
    with pytest.raises(InvalidError) as found:
        unpack(job)
    assert found.value.what.startswith(str(job))
    assert not list(tmp_path.rglob("evil*"))


RESULT_CHANGES = {
    "another key": (lambda doc, _: doc.update(key="1" * 64), "key"),
    "of another recipe": (lambda doc, _: doc["job"]["recipe"]["params"].update(times=9), "key"),
    "a file elsewhere": (lambda doc, _: doc["files"][0].update(name="../../evil"), ".."),
    "a file in .git": (lambda doc, _: doc["files"][0].update(name=".git/evil"), ".git"),
    "no files": (lambda doc, _: doc.update(files=[]), "no files"),
    "negative seconds": (lambda doc, _: doc.update(seconds=-1), "seconds"),
    "text for a cost": (lambda doc, _: doc.update(cost="free"), "cost"),
    "an environment of objects": (lambda doc, _: doc.update(environment={"a": {"b": 1}}), "environment"),
    "a time that is none": (lambda doc, _: doc.update(at="yesterday"), "time"),
    "ok with a reason": (lambda doc, _: doc.update(reason="well"), "reason"),
    "a log that is not there": (lambda doc, _: doc.update(log={"hash": "blake3:" + "2" * 64, "size": 3}), "lacks"),
    "another file": (
        lambda doc, entries: entries.update({"objects/" + doc["files"][0]["hash"][7:]: b"some NOTES\nsome notes\n"}), "other bytes",
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", RESULT_CHANGES)
def test_a_result_that_is_not_what_it_says(result, tmp_path, change):
    how, word = RESULT_CHANGES[change]
    unpack_output(result)
    with pytest.raises((InvalidError, CorruptionError)) as found:
        unpack_output(changed(result, how, "result.json"))
    assert word in found.value.what
    assert not list(tmp_path.rglob("evil*"))


def test_nothing_is_filed_of_a_result_with_other_bytes(farmed, machine):
    result = changed(run(farmed, machine), RESULT_CHANGES["another file"][0], "result.json")
    assert farmed.regen("job", "import", str(result), check=False).returncode == 6
    assert farmed.status()["out.bin"] == "pending", "nothing is blamed on the asset either"


def test_one_bad_result_does_not_stop_the_others(farmed, machine):
    good = run(farmed, machine)
    bad = machine.folder / "bad.regenresult"
    shutil.copy(good, bad)
    bad.write_bytes(bad.read_bytes()[:100])
    done = farmed.regen("job", "import", str(bad), str(good), check=False)
    assert done.returncode == 3 and "bad.regenresult" in done.stderr
    assert farmed.status()["out.bin"] == "proposed"


# -- sequences, frame by frame -----------------------------------------------------------------------------------------


def rendered(job_path: Path, numbers: list[int], *, ok: bool = True) -> Path:
    """The result of a farm that has rendered these frames of a job."""
    target = job_path.with_suffix(".regenresult")
    folder = job_path.parent / "frames"
    folder.mkdir(exist_ok=True)
    found = []
    for number in numbers:
        name = f"sky.{number:04}.bin"
        (folder / name).write_bytes(b"frame %d\n" % number)
        found.append((name, str(folder / name), (folder / name).stat().st_size))
    how = Result(ok, None if ok else "the node went away", b"rendering\n", {}, "4.2")
    with open_job(str(job_path)) as (found_job, _):
        write_result(str(target), found_job, how, 3.0, found)
    return target


@pytest.fixture
def film(project):
    """`sky.####.bin`: five frames that a scene makes one by one."""
    project.write("scene.blend", b"no scene at all")
    project.git("add", "-A")
    project.commit("scene")
    recipe = Recipe(generator="blender", params={"frames": "1-5"}, inputs={"scene": "scene.blend"})
    project.write("sky.####.bin.regen.json", recipe_bytes(recipe))
    project.commit("sky")
    return project


def put_together(film) -> None:
    """A worker renders nothing here, for there is no scene that could be rendered."""
    film.regen("trust", "--yes")
    film.regen("regenerate", "--queue")
    assert "proposed sky.####.bin" in film.regen("worker").stdout


def test_frames_come_home_in_parts(film, tmp_path):
    parts = []
    for text, numbers in (("1-2", [1, 2]), ("3-5", [3, 4, 5])):
        job = tmp_path / f"{text}.regenjob"
        film.regen("job", "export", "sky.####.bin", "--frames", text, "-o", str(job))
        assert document(job)["recipe"]["params"]["frames"] == text
        parts.append(rendered(job, numbers))
    for part in parts:
        assert "filed" in film.regen("job", "import", str(part)).stdout
    put_together(film)
    assert film.path("sky.0004.bin").read_bytes() == b"frame 4\n"
    assert film.regen("job", "export", "sky.####.bin", "--frames", "6", check=False).returncode == 2


def test_of_a_render_that_broke_off_the_frames_are_kept(film, tmp_path):
    job = tmp_path / "sky.regenjob"
    film.regen("job", "export", "sky.####.bin", "-o", str(job))
    done = film.regen("job", "import", str(rendered(job, [1, 2, 3], ok=False)), check=False)
    assert done.returncode == 1 and "the node went away (3 of 5 frames are kept)" in done.stderr
    film.regen("job", "export", "sky.####.bin", "--frames", "4-5", "-o", str(job))
    film.regen("job", "import", str(rendered(job, [4, 5])))
    put_together(film)
