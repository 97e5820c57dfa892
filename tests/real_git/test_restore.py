"""`restore`: recipes come back, from an export or from what is still known of them; nothing that differs is lost for it."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from regen_vcs.engine.export_file import export_bytes
from regen_vcs.model.export_manifest import build_manifest
from regen_vcs.model.recipe import recipe_bytes
from tests.conftest import Home
from tests.real_git.copies import copy_of
from tests.real_git.recipes import TEXTURE, generated, read, source, write

PROJECT = """\
[generators.twice]
uses = "command"
argv = ["python3", "{code}/twice.py", "{inputs.image}", "{output}"]
code = ["tools/twice.py"]
"""
ASSETS = ("sky.png", "shots/010/glow.png", "shots/020/big.dat", "frames/f.####.png", "source.png")


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Textures (one from another, one a sequence), a script's work, a source asset; all committed, and a second branch."""
    project = Home(tmp_path_factory.mktemp("film") / "user").repo()
    project.write("regen.toml", PROJECT.encode())
    project.write("tools/twice.py", b"import sys\nopen(sys.argv[2], 'wb').write(open(sys.argv[1], 'rb').read() * 2)\n")
    project.write("plate.txt", b"plate one\n")
    project.write("source.png", b"somebody's own bytes")
    project.git("add", "regen.toml", "tools", "plate.txt")
    project.regen("trust", "--yes")
    small = ("--generator", "texture", "--param", "width=16", "--param", "height=16")
    project.regen("generate", "sky.png", *small)
    project.regen("generate", "shots/010/glow.png", *small, "--input", "base=sky.png")
    project.regen("generate", "frames/f.####.png", *small, "--param", "frames=1-3")
    project.regen("generate", "shots/020/big.dat", "--generator", "command:twice", "--input", "image=plate.txt")
    project.regen("add", "source.png")
    project.commit("a film")
    project.git("switch", "-qc", "two")
    project.regen("set", "sky.png", "seed=5")
    project.git("commit", "-qam", "another sky", "--no-verify")
    project.git("switch", "-q", "main")
    project.regen("export", str(project.user.base / "film.regen-export"), "--all-refs")
    return project


@pytest.fixture
def film(template, tmp_path):
    project = copy_of(template, tmp_path)
    project.export = project.user.base / "film.regen-export"
    return project


def texts(project) -> dict[str, bytes]:
    """{path: bytes} of every sidecar on disk."""
    return {str(path.relative_to(project.root)): path.read_bytes() for path in project.root.rglob("*.regen.json")}


def media(project) -> dict[str, str]:
    return {name: hashlib.sha256(project.path(name).read_bytes()).hexdigest()
            for name in ("sky.png", "shots/010/glow.png", "shots/020/big.dat", "frames/f.0002.png", "source.png")}


def verdicts(done) -> dict[str, str]:
    return {each["path"]: each["verdict"] for each in json.loads(done.stdout)["files"]}


def lose_sidecars(project) -> None:
    for path in project.root.rglob("*.regen.json"):
        path.unlink()


def lose_git(project) -> None:
    """As after `rm -rf .git` and a new `git init`."""
    project.regen("init")  # a copy of the template: keep is to know it where it is
    shutil.rmtree(project.path(".git"))
    project.git("init", "-q")
    project.regen("init")


# ---------------------------------------------------------------- from an export


def test_into_an_empty_repository(film):
    before, bytes_before = texts(film), media(film)
    other = film.user.repo("elsewhere")
    other.path("regen.toml").unlink()
    done = other.regen("restore", str(film.export))
    assert texts(other) == before
    assert other.path("regen.toml").read_bytes() == PROJECT.encode() and other.path("plate.txt").read_bytes() == b"plate one\n"
    assert "restored is not trusted" in done.stderr and "8 files restored" in done.stdout
    assert other.path("tools/twice.py").stat().st_mode & 0o777 == 0o644
    trust = json.loads(other.regen("trust", "--json", check=False).stdout)
    assert trust["trusted"] is False
    other.git("add", "-A")
    other.regen("sync")  # the stores are the same user's
    assert media(other) == bytes_before
    assert set(other.status().values()) == {"ok"}


def test_on_a_machine_that_has_nothing(film, tmp_path):
    """1.2: complete restoration from one small file."""
    bytes_before = media(film)
    other = Home(tmp_path / "colleague").repo("film")
    other.path("regen.toml").unlink()
    other.regen("restore", str(film.export))
    other.git("add", "-A")
    other.regen("trust", "--yes")
    failed = other.regen("sync", check=False)
    assert failed.returncode in (0, 1)
    there = media_there(other)
    assert {name: there.get(name) for name in bytes_before} == {**bytes_before, "source.png": None}
    states = other.status()
    assert states.pop("source.png") == "missing" and set(states.values()) == {"ok"}


def media_there(project) -> dict[str, str]:
    return {str(path.relative_to(project.root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in project.root.rglob("*") if path.suffix in (".png", ".dat")}


def test_every_deleted_sidecar_comes_back_as_it_was(film):
    before = texts(film)
    lose_sidecars(film)
    film.regen("restore", str(film.export))
    assert texts(film) == before
    assert film.git("status", "--porcelain").stdout == ""
    assert set(film.status().values()) == {"ok"}
    again = film.regen("restore", str(film.export))
    assert "all of it is here already" in again.stdout


def test_a_dry_run_changes_nothing(film):
    film.path("sky.png.regen.json").unlink()
    before = sorted(map(str, film.user.base.rglob("*")))
    done = film.regen("restore", str(film.export), "--dry-run")
    assert "sky.png.regen.json" in done.stdout and "1 file would be restored" in done.stdout
    assert sorted(map(str, film.user.base.rglob("*"))) == before


def test_what_differs_stays_and_is_shown(film):
    film.regen("set", "sky.png", "seed=77")
    mine = film.path("sky.png.regen.json").read_bytes()
    film.write("plate.txt", b"plate two\n")
    done = film.regen("restore", str(film.export), check=False)
    assert done.returncode == 1 and "differs   sky.png.regen.json" in done.stderr and "differs   plate.txt" in done.stderr
    assert film.path("sky.png.regen.json").read_bytes() == mine and film.path("plate.txt").read_bytes() == b"plate two\n"


def test_force_replaces_and_rescues(film):
    original = film.path("sky.png.regen.json").read_bytes()
    film.write("sky.png.regen.json", b"<<<<<<< half a merge, the only copy\n")
    film.regen("restore", str(film.export), "sky.png", "--force")
    assert film.path("sky.png.regen.json").read_bytes() == original
    (entry,) = json.loads(film.regen("rescued", "--json").stdout)["rescued"]
    film.regen("rescued", entry["hash"], "--to", "mine.txt")
    assert film.path("mine.txt").read_bytes() == b"<<<<<<< half a merge, the only copy\n"


def test_only_some_paths(film):
    lose_sidecars(film)
    film.regen("restore", str(film.export), "shots/010")
    assert list(texts(film)) == ["shots/010/glow.png.regen.json"]
    missed = film.regen("restore", str(film.export), "no/such.png", check=False)
    assert missed.returncode == 2


def test_a_branch_of_it(film):
    film.path("sky.png.regen.json").unlink()
    film.regen("restore", str(film.export), "--ref", "two")
    assert read(film, "sky.png").params["seed"] == 5
    unknown = film.regen("restore", str(film.export), "--ref", "three", check=False)
    assert unknown.returncode == 2 and "refs/heads/two" in unknown.stderr


def test_media_that_lie_there_already_stay(film):
    """Bytes under a restored recipe are the accepted ones, or somebody's edit: then they are `modified`."""
    other = film.user.repo("elsewhere")
    other.write("sky.png", b"somebody's own sky")
    other.write("source.png", b"somebody's own bytes")
    other.regen("restore", str(film.export), check=False)
    other.regen("sync")
    assert other.path("sky.png").read_bytes() == b"somebody's own sky"
    states = other.status()
    assert states["sky.png"] == "modified" and states["source.png"] == "ok"


def test_damaged_and_strange_files(film):
    data = film.export.read_bytes()
    for name, bad, code in (
        ("cut", data[:-10], 6), ("flipped", data[:200] + b"?" + data[201:], 6), ("more", data + b"x", 6),
        ("newer", data.replace(b"export 1", b"export 2", 1), 3), ("other", b"BLENDER-v402" + bytes(100), 3),
    ):
        film.write(f"{name}.regen-export", bad)
        done = film.regen("restore", f"{name}.regen-export", check=False)
        assert done.returncode == code and "Traceback" not in done.stderr, (name, done.stderr)
    missing = film.regen("restore", "nowhere.regen-export", check=False)
    assert missing.returncode == 2


def test_killed_half_way(home):
    """Each sidecar is whole or not there; said again, it brings the rest, and all of them count though git knows none."""
    project = home.repo()
    recipes = {}
    for number in range(150):
        asset = f"shots/{number % 5}/{number:03}.png"
        recipes[f"{asset}.regen.json"] = recipe_bytes(generated(asset, asset.encode(), TEXTURE | {"seed": number}))
    file = hostile(project, sidecars={path.removesuffix(".regen.json"): text for path, text in recipes.items()})
    draw = random.Random(5)
    for _ in range(3):
        child = subprocess.Popen([sys.executable, "-I", "-m", "regen_vcs", "restore", file], cwd=project.root, env=project.env,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 20
        goal = draw.randrange(1, 140)
        while child.poll() is None and len(texts(project)) < goal and time.monotonic() < until:
            time.sleep(0.002)
        child.send_signal(signal.SIGKILL)
        child.wait()
        found = texts(project)
        assert all(recipes[path] == text for path, text in found.items())
        assert not [path for path in project.root.rglob("*") if path.name.startswith("tmp")]
        for path in list(found)[: len(found) // 2]:
            project.path(path).unlink()
    project.regen("restore", file)
    assert texts(project) == recipes
    assert len(project.status()) == 150
    assert project.git("status", "--porcelain", "--untracked-files=all").stdout.count(".regen.json") == 150


def hostile(project, **parts) -> str:
    whole = {"project": None, "files": {}, "sidecars": {}, "documents": {}, "refs": {}} | parts
    target = project.user.base / "hostile.regen-export"
    target.write_bytes(export_bytes(*build_manifest(**whole)))
    return str(target)


def test_symlinks_lead_nowhere(film):
    outside = film.user.base / "outside"
    outside.mkdir()
    film.path("away").symlink_to(outside)
    film.path("link.png.regen.json").symlink_to(outside / "written.json")
    text = recipe_bytes(source(b"x"))
    file = hostile(film, sidecars={"away/x.png": text, "link.png": text}, files={"away/code.py": b"x"})
    done = film.regen("restore", file, "--force", "--json", check=False)
    assert done.returncode == 3 and set(verdicts(done).values()) == {"refused"}
    assert list(outside.iterdir()) == [] and film.path("link.png.regen.json").is_symlink()


def test_entries_that_cannot_be_are_refused_one_by_one(film):
    text = recipe_bytes(source(b"x"))
    film.write("folder.png.regen.json/inside", b"")
    film.write("plain", b"")
    file = hostile(film, sidecars={
        "SKY.PNG": text, "good.png": text, "giant.png": b'{"regen": 1, "generator": "texture", "params": {"seed": 1E400}}',
        "plate.txt": text, "sky.png/x.png": text, "plain/x.png": text, "folder.png": text,
    }, files={"shots/010/glow.png": b"an asset's place", "source.png/x.txt": b"inside one"})
    done = film.regen("restore", file, "--json", check=False)
    assert {path for path, verdict in verdicts(done).items() if verdict == "restored"} == {"good.png.regen.json"}
    assert done.returncode == 3
    assert film.status()["good.png"] == "missing"


def test_a_conflict_is_left_alone(film):
    film.git("switch", "-qc", "three")
    film.regen("set", "sky.png", "seed=6")
    film.git("commit", "-qam", "a third sky", "--no-verify")
    film.git("merge", "two", check=False)
    before = film.path("sky.png.regen.json").read_bytes()
    done = film.regen("restore", str(film.export), "--force", "--json", check=False)
    assert verdicts(done)["sky.png.regen.json"] == "refused" and film.path("sky.png.regen.json").read_bytes() == before


def test_kept_in_place(home):
    project = home.repo()
    project.regen("track", "--in-place", "*.jpg")
    project.write("a.jpg", b"in place " * 50)
    project.git("add", "-A")
    project.git("commit", "-qm", "one")
    file = str(project.user.base / "x.regen-export")
    project.regen("export", file)
    refused = project.regen("restore", file, check=False)
    assert refused.returncode == 3 and "git has its recipe" in refused.stderr
    other = home.repo("elsewhere")
    other.regen("track", "--in-place", "*.jpg")
    other.regen("restore", file)
    assert json.loads(other.path("a.jpg").read_text())["output"]["size"] == 450
    plain = home.repo("plain")
    assert plain.regen("restore", file, check=False).returncode == 3


# ---------------------------------------------------------------- without one


def test_nothing_is_missing(film):
    assert "nothing to restore: no recipe is missing" in film.regen("restore").stdout


def test_deleted_from_disk(film):
    before = texts(film)
    lose_sidecars(film)
    done = film.regen("restore")
    assert texts(film) == before and "from git's index" in done.stdout
    assert set(film.status().values()) == {"ok"}


def test_the_index_is_lost(film):
    before = texts(film)
    lose_sidecars(film)
    film.path(".git/index").unlink()
    film.regen("restore")
    assert texts(film) == before


def test_untracked_and_deleted(film):
    """No git ever saw it: the state file and keep know it all the same."""
    film.regen("generate", "new/fog.png", "--generator", "texture", "--param", "width=16", "--param", "height=16",
               "--param", "seed=3", "--input", "base=sky.png")
    film.write("own.png", b"own bytes")
    film.regen("add", "own.png")
    before = texts(film)
    film.path("new/fog.png.regen.json").unlink()
    film.path("own.png.regen.json").unlink()
    film.regen("restore")
    after = texts(film)
    assert after["new/fog.png.regen.json"] == before["new/fog.png.regen.json"]
    assert json.loads(after["own.png.regen.json"])["output"]["hash"] == json.loads(before["own.png.regen.json"])["output"]["hash"]
    assert {each for each in film.status().values()} == {"ok"}


def test_deleted_in_a_commit_comes_back_when_it_is_named(film):
    before = film.path("sky.png.regen.json").read_bytes()
    film.regen("rm", "shots/010/glow.png")
    film.regen("rm", "sky.png")
    film.commit("no sky")
    assert "no recipe is missing" in film.regen("restore").stdout
    film.regen("restore", "sky.png")
    assert film.path("sky.png.regen.json").read_bytes() == before
    film.regen("sync")
    assert film.status()["sky.png"] == "ok"


def test_only_keep_is_left(film):
    """.git and every sidecar are gone: where each recipe belongs is known from where it was made."""
    before = {path: json.loads(text) for path, text in texts(film).items()}
    lose_sidecars(film)
    lose_git(film)
    done = film.regen("restore")
    after = {path: json.loads(text) for path, text in texts(film).items()}
    assert set(after) == set(before) - {"source.png.regen.json"}  # nobody asked anything for a source asset
    for path, document in after.items():
        assert {**document, "meta": None} == {**before[path], "meta": None}, path
    assert "from keep" in done.stdout
    film.git("add", "-A")
    film.regen("sync")
    states = film.status()
    assert {states[path] for path in ASSETS if path != "source.png"} == {"ok"}


def test_the_last_made_of_a_path_and_no_other_repositorys(film):
    film.regen("set", "sky.png", "seed=11")
    film.regen("regenerate", "sky.png")
    wanted = read(film, "sky.png").params
    other = film.user.repo("other")
    other.regen("generate", "theirs.png", "--generator", "texture", "--param", "width=8", "--param", "height=8")
    lose_sidecars(film)
    lose_git(film)
    done = film.regen("restore")
    assert read(film, "sky.png").params == wanted and "made last of 2 recipes" in done.stdout
    assert not film.path("theirs.png.regen.json").exists()
    everything = film.regen("restore", "--from-keep", "--all-repositories", "--dry-run")
    assert "theirs.png.regen.json" in everything.stdout


def test_a_recipe_whose_path_nobody_knows(film):
    """Records of an older version do not say where: the key confirms what kind of file it was."""
    records = [path for path in (film.user.keep / "v1/results").rglob("*.json")]
    from regen_vcs.stores.results import Results

    results = Results(str(film.user.keep / "v1"))
    for path in records:
        document = json.loads(path.read_bytes())
        key, output = path.parts[-3], path.parts[-2]
        path.unlink()
        results.record(key, output, {name: value for name, value in document.items() if name != "asset"})
    key = read(film, "sky.png").output.key
    lose_sidecars(film)
    lose_git(film)
    film.regen("restore")
    text = film.path(f"restored/{key[:8]}.png.regen.json")
    assert json.loads(text.read_text())["output"]["key"] == key
    film.regen("sync")
    assert film.status()[f"restored/{key[:8]}.png"] == "ok"


def test_several_results_of_one_recipe_are_not_chosen_among(home):
    project = home.repo()
    from regen_vcs.stores.results import Results

    write(project, "a.png", generated("a.png", b"one", TEXTURE))
    key = read(project, "a.png").output.key
    results = Results(str(project.user.keep / "v1"))
    uuid = project.git("config", "regen.uuid").stdout.strip()
    bare = generated("a.png", None, TEXTURE)
    results.save_recipe(key, recipe_bytes(bare))
    for data in (b"one", b"two"):
        digest = source(data).output.hash
        results.record(key, digest, {"asset": "a.png", "repo": uuid, "output": {"hash": f"blake3:{digest}", "size": 3}})
    project.path("a.png.regen.json").unlink()
    done = project.regen("restore")
    assert "none is taken for the accepted one" in done.stdout
    assert read(project, "a.png") == bare


@pytest.mark.parametrize("asset", ["../out.png", ".git/hooks/pre-commit", "/etc/x.png", "regen.toml", 7, None, "a\0b.png"])
def test_a_record_that_lies_about_its_path(home, asset):
    project = home.repo()
    from regen_vcs.stores.results import Results

    recipe = generated("a.png", b"one", TEXTURE)
    results = Results(str(project.user.keep / "v1"))
    uuid = project.git("config", "regen.uuid").stdout.strip()
    results.save_recipe(recipe.output.key, recipe_bytes(recipe.replace(output=None)))
    results.record(recipe.output.key, recipe.output.hash, {"asset": asset, "repo": uuid, "output": {"hash": "no", "size": "x"}})
    project.regen("restore", "--from-keep", check=False)
    assert set(texts(project)) <= {f"restored/{recipe.output.key[:8]}.png.regen.json"}


def test_what_sparse_checkout_leaves_out_stays_out(film):
    film.git("status")
    film.git("sparse-checkout", "set", "--no-cone", "/*", "!/shots/020/")
    assert not film.path("shots/020/big.dat.regen.json").exists()
    done = film.regen("restore", str(film.export))
    assert "all of it is here already" in done.stdout and not film.path("shots/020").exists()


def test_what_is_not_gone_is_nothing_to_restore(film):
    assert "nothing to restore" in film.regen("restore", "sky.png").stdout
    film.path("sky.png.regen.json").unlink()
    assert "restored  sky.png.regen.json" in film.regen("restore", "sky.png").stdout  # the media of that name is no export


def test_words(film):
    assert film.regen("restore", "--ref", "two", check=False).returncode == 2
    assert film.regen("restore", "--all-repositories", check=False).returncode == 2
    assert film.regen("restore", "no/such.png", check=False).returncode == 2
