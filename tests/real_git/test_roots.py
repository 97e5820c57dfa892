"""Named roots: inputs on a NAS, mapped by each user; what happens when it is away, when a file changes, and when it is hostile."""

from __future__ import annotations

import json
import os
import shutil
import time

import pytest

from tests.real_git.test_workset import keep_objects, lose

CONFIG = b"""\
[generators.stamp]
uses = "command"
argv = ["sh", "{code}/stamp.sh", "{output}", "{inputs.plate}"]
code = ["tools/stamp.sh"]
"""
SCRIPT = b'{ echo stamped; cat "$2"; } >"$1"\n'


@pytest.fixture
def plates(tmp_path):
    folder = tmp_path / "NAS mount" / "plates"
    folder.mkdir(parents=True)
    (folder / "sky.txt").write_bytes(b"a blue sky")
    return folder


@pytest.fixture
def film(home, plates):
    """shot.txt is made from @plates/sky.txt, accepted and committed."""
    project = home.repo()
    project.write("regen.toml", CONFIG)
    project.write("tools/stamp.sh", SCRIPT)
    project.git("add", "-A")
    project.regen("trust", "--yes")
    project.regen("root", "add", "plates", str(plates))
    project.regen("generate", "shot.txt", "--generator", "command:stamp", "--input", "plate=@plates/sky.txt")
    project.commit("shot")
    return project


def entry(project, path: str = "shot.txt") -> dict:
    return next(each for each in json.loads(project.regen("status", "--json").stdout)["assets"] if each["path"] == path)


def gone(project) -> None:
    """The accepted bytes are nowhere but in the recipe."""
    lose(project)
    project.path("shot.txt").unlink(missing_ok=True)


def age(path) -> None:
    """Long ago enough for its stat to be believed."""
    then = time.time() - 60
    os.utime(path, (then, then))


# -- the map -----------------------------------------------------------------------------------------------------------------


def test_it_is_mapped_listed_and_forgotten(film, plates, tmp_path):
    config = film.user.base / "config" / "config.toml"
    assert json.loads(film.regen("root", "list", "--json").stdout) == {
        "roots": [{"name": "plates", "folder": str(plates), "there": True, "inputs": 1}]
    }
    config.write_text(f'# mine\nlink = "copy"   # why not\n\n[roots] # the NAS\n"plates" = "{plates}"\nother = "/mnt/x"\n\n[spare]\nlimit = "1GiB"\n')
    (tmp_path / "new [x] ü").mkdir()
    film.regen("root", "add", "@plates", str(tmp_path / "new [x] ü"))
    film.regen("root", "add", "v1.2", str(tmp_path))
    film.regen("root", "remove", "other")
    text = config.read_text()
    assert "# mine" in text and "# why not" in text and 'limit = "1GiB"' in text and "other" not in text
    found = json.loads(film.regen("config", "--json").stdout)["roots"]
    assert found == {"plates": str(tmp_path / "new [x] ü"), "v1.2": str(tmp_path)}
    assert "already" in film.regen("root", "add", "plates", str(tmp_path / "new [x] ü")).stdout
    film.regen("root", "remove", "plates")
    assert "not mapped  (1 input): regen-vcs root add plates FOLDER" in film.regen("root").stdout


@pytest.mark.parametrize(("words", "code"), [
    (("add", "a/b", "/"), 2), (("add", "..", "/"), 2), (("add", "plates", "/no/such/folder"), 2), (("remove", "nobody"), 2), (("add", "x\ny", "/"), 2),
])  # fmt: skip
def test_what_cannot_be_a_root_is_refused(film, words, code):
    before = (film.user.base / "config" / "config.toml").read_bytes()
    done = film.regen("root", *words, check=False)
    assert done.returncode == code and "hint:" in done.stderr
    assert (film.user.base / "config" / "config.toml").read_bytes() == before


@pytest.mark.parametrize("text", ['roots = { plates = "/a" }\n', 'roots.plates = "/a"\n', 'roots = 3\n', "[roots\n", '["roots"]\nplates = """/a"""\n'])
def test_a_file_that_is_written_in_another_way_is_left_to_its_owner(film, plates, text):
    config = film.user.base / "config" / "config.toml"
    config.write_text(text)
    done = film.regen("root", "add", "plates", str(plates), check=False)
    if done.returncode == 0:
        assert json.loads(film.regen("config", "--json").stdout)["roots"] == {"plates": str(plates)}
    else:
        assert done.returncode == 3 and config.read_text() == text


# -- away ---------------------------------------------------------------------------------------------------------------------


def unmap(film, plates):
    film.regen("root", "remove", "plates")


def unmount(film, plates):
    os.rename(plates, plates.parent / "elsewhere")


def empty(film, plates):
    (plates / "sky.txt").unlink()


@pytest.mark.parametrize(("leave", "said"), [(unmap, "regen-vcs root add plates FOLDER"), (unmount, "is it mounted?"), (empty, "is it mounted?")])
def test_away_it_is_blocked_and_never_failed_and_what_is_on_disk_is_ok(film, plates, leave, said):
    leave(film, plates)
    on_disk = entry(film)
    assert on_disk["state"] == "ok" and "not known whether it is stale" in on_disk["reason"]
    assert film.regen("status", "--exit-code").returncode == 0
    gone(film)
    missing = entry(film)
    assert missing["state"] == "missing" and "blocked" in missing["reason"] and not missing["can_regenerate"]
    assert "blocked" in film.regen("sync").stderr
    done = film.regen("regenerate", "shot.txt", check=False)
    assert done.returncode == 1 and "blocked" in done.stderr and said in done.stderr
    film.regen("regenerate", "shot.txt", "--queue")
    film.regen("worker", check=False)
    job = json.loads(film.regen("queue", "--json").stdout)["jobs"][0]
    assert job["state"] == "blocked" and "@plates/sky.txt" in job["reason"]
    assert entry(film)["state"] != "failed"


def test_back_again_the_blocked_job_runs(film, plates):
    gone(film)
    unmount(film, plates)
    film.regen("regenerate", "shot.txt", "--queue")
    film.regen("worker", check=False)
    os.rename(plates.parent / "elsewhere", plates)
    assert "1 regenerated" in film.regen("sync").stdout
    assert film.path("shot.txt").read_bytes() == b"stamped\na blue sky"
    assert not [job for job in json.loads(film.regen("queue", "--json").stdout)["jobs"] if job["state"] == "blocked"]


def test_a_colleague_without_the_root_gets_the_bytes_from_the_store_and_a_commit_through(film):
    clone = film.user.work / "clone"
    film.regen("root", "remove", "plates")
    film.git("clone", "-q", str(film.root), str(clone))
    other = type(film)(film.user, clone)
    other.regen("init")
    assert other.path("shot.txt").read_bytes() == b"stamped\na blue sky"
    other.write("notes.txt", b"x")
    other.commit("notes")


# -- changed -------------------------------------------------------------------------------------------------------------------


def test_a_file_that_changed_makes_what_is_made_from_it_stale_and_says_which(film, plates):
    (plates / "sky.txt").write_bytes(b"a red sky!")
    assert entry(film)["state"] == "stale" and entry(film)["reason"] == "input edited: @plates/sky.txt"
    film.git("switch", "-qc", "two")  # no hook makes it anew
    assert film.path("shot.txt").read_bytes() == b"stamped\na blue sky"
    film.regen("regenerate")
    assert film.path("shot.txt").read_bytes() == b"stamped\na red sky!"
    assert entry(film)["state"] == "ok"


def test_stale_and_nowhere_it_is_not_made_by_itself(film, plates):
    gone(film)
    (plates / "sky.txt").write_bytes(b"a red sky!")
    film.regen("sync")
    assert not film.path("shot.txt").exists()


def test_what_changed_under_the_same_size_and_time_is_seen(film, plates):
    age(plates / "sky.txt")
    film.regen("status")
    st = os.stat(plates / "sky.txt")
    (plates / "sky.txt").write_bytes(b"A BLUE SKY")
    os.utime(plates / "sky.txt", ns=(st.st_atime_ns, st.st_mtime_ns))
    assert entry(film)["state"] == "stale"


def test_its_bytes_are_never_copied_into_a_store(film, plates):
    big = plates / "big.txt"
    with open(big, "wb") as file:
        file.truncate(3 << 20)
        file.write(b"not a hole" * 1000)
    before = keep_objects(film)
    film.regen("generate", "big.txt", "--generator", "command:stamp", "--input", "plate=@plates/big.txt")
    sizes = [os.path.getsize(os.path.join(folder, name)) for root in (film.user.keep, film.user.cache) for folder, _, names in os.walk(root) for name in names]
    assert sum(size > 1 << 20 for size in sizes) == 1, "the asset itself, and nothing else of that size"
    assert keep_objects(film) <= before + 2


# -- hostile -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["@plates/../../etc/passwd", "@plates//etc/passwd", "@../x", "@plates", "@plates/a/../../x", "@plates/.git/config"])
def test_no_path_leads_out(film, value):
    done = film.regen("generate", "x.txt", "--generator", "command:stamp", "--input", f"plate={value}", check=False)
    assert done.returncode in (2, 3) and not film.path("x.txt").exists()


@pytest.mark.parametrize("kind", ["file", "folder", "relative", "absolute to itself"])
def test_symlinks_stay_within_the_root(film, plates, kind):
    secret = plates.parent / "secret.txt"
    secret.write_bytes(b"secret")
    if kind == "file":
        (plates / "link.txt").symlink_to(secret)
        name = "link.txt"
    elif kind == "folder":
        (plates / "up").symlink_to(plates.parent)
        name = "up/secret.txt"
    elif kind == "relative":
        (plates / "link.txt").symlink_to("../secret.txt")
        name = "link.txt"
    else:
        (plates / "link.txt").symlink_to(plates / "sky.txt")
        name = "link.txt"
    done = film.regen("generate", "x.txt", "--generator", "command:stamp", "--input", f"plate=@plates/{name}", check=False)
    if kind == "absolute to itself":
        assert done.returncode == 0 and film.path("x.txt").read_bytes() == b"stamped\na blue sky"
    else:
        assert done.returncode == 1 and "leads out of its root" in done.stderr and not film.path("x.txt").exists()


def test_a_folder_a_pipe_and_a_device_are_no_inputs(film, plates):
    (plates / "dir").mkdir()
    os.mkfifo(plates / "pipe")
    for name, said in (("dir", "is a folder"), ("pipe", "no regular file")):
        done = film.regen("generate", f"{name}.txt", "--generator", "command:stamp", "--input", f"plate=@plates/{name}", check=False, timeout=30)
        assert done.returncode == 1 and said in done.stderr
    film.regen("status", timeout=30)


def test_a_repository_cannot_map_a_root(film, plates):
    film.regen("root", "remove", "plates")
    film.write("regen.toml", CONFIG + f'[roots]\nplates = "{plates}"\n'.encode())
    refused = film.regen("trust", "--yes", check=False)
    assert refused.returncode == 3 and "roots is for the user to set" in refused.stderr
    listed = film.regen("root", "list").stdout
    assert "not mapped" in listed and str(plates) not in listed


# -- long files ------------------------------------------------------------------------------------------------------------------


def test_a_hook_does_not_read_what_is_long_and_was_never_read_here(film, plates):
    sparse = plates / "long.txt"
    with open(sparse, "wb") as file:
        file.truncate(40 << 20)
    film.write("tools/stamp.sh", b'wc -c <"$2" >"$1"\n')
    film.git("add", "-A")
    film.regen("trust", "--yes")
    film.regen("generate", "long.txt", "--generator", "command:stamp", "--input", "plate=@plates/long.txt")
    film.commit("long")
    film.git("switch", "-qc", "empty")
    film.regen("rm", "long.txt")
    film.commit("without")
    lose(film)
    shutil.rmtree(film.root / ".git/regen/spare", ignore_errors=True)
    for name in ("memo-1",):
        (film.root / ".git/regen" / name).unlink()
    done = film.git("switch", "-q", "main")
    assert "1 to regenerate (time unknown)" in done.stderr, done.stderr
    assert not film.path("long.txt").exists()
    assert "1 regenerated" in film.regen("sync").stdout
