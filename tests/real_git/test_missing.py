"""What is not there: bytes, generators, trust, the tool itself. git goes on; one line says what is missing; it can be mended."""

from __future__ import annotations

import json
import os
import shutil
import sys

import pytest

from tests.conftest import Home
from tests.real_git.copies import copy_of
from tests.real_git.film import hash_file, media_bytes

PROJECT = """\
[generators.shout]
uses = "command"
argv = ["python3", "{code}/shout.py", "{inputs.text}", "{output}", "{params.word}"]
code = ["tools/shout.py"]

[generators.whisper]
uses = "command"
argv = ["python3", "{code}/whisper.py", "{inputs.text}", "{output}", "{inputs.workflow}"]
code = ["tools/whisper.py"]
"""
# Each run is noted beside the repository, so that a test can say "it did not run"; a marker makes it fail.
SCRIPT = """\
import pathlib, sys
base = pathlib.Path({base!r})
with open(base / "runs", "a") as runs:
    runs.write({name!r} + chr(10))
if (base / "broken").exists():
    sys.exit("the GPU is on fire")
text = pathlib.Path(sys.argv[1]).read_text() + {name!r} + pathlib.Path(__file__).name
more = sys.argv[3] if {name!r} == "shout" else pathlib.Path(sys.argv[3]).read_text()
pathlib.Path(sys.argv[2]).write_text(text + more)
"""
ASSETS = {"sky.png", "loud.txt", "quiet.txt", "plate.png"}
MADE = {"sky.png", "loud.txt", "quiet.txt"}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """One asset by a built-in, two by commands, one source; on branch `two` all are others."""
    base = tmp_path_factory.mktemp("missing")
    film = Home(base / "user").repo()
    film.base = base
    film.write("regen.toml", PROJECT.encode())
    for name in ("shout", "whisper"):
        film.write(f"tools/{name}.py", SCRIPT.format(base=str(base), name=name).encode())
    film.write("text.txt", b"a line\n")
    film.write("other.txt", b"another line\n")
    film.write("graphs/w.json", b'{"nodes": 1}\n')
    film.commit("generators")
    film.regen("trust", "--yes")
    film.write("plate.png", media_bytes("plate", 1))
    film.regen("add", "plate.png")
    film.regen("generate", "sky.png", "-g", "texture", "-p", "kind=fbm", "-p", "width=32", "-p", "height=32", "-p", "seed=1")
    film.regen("generate", "loud.txt", "-g", "command:shout", "-i", "text=text.txt", "-p", "word=hey")
    film.regen("generate", "quiet.txt", "-g", "command:whisper", "-i", "text=other.txt", "-i", "workflow=graphs/w.json", "--no-run")
    film.regen("trust", "--yes")  # a graph is an executable input
    film.regen("regenerate", "quiet.txt")
    film.commit("one")
    film.git("switch", "-qc", "two")
    film.write("plate.png", media_bytes("plate", 2))
    film.regen("add", "plate.png")
    film.regen("set", "sky.png", "seed=2")
    film.regen("set", "loud.txt", "word=ho")
    film.write("graphs/w.json", b'{"nodes": 2}\n')
    film.git("add", "-A")
    film.regen("trust", "--yes")
    film.regen("regenerate", "--stale")
    film.commit("two")
    film.git("switch", "-q", "main")
    return film


@pytest.fixture
def film(template, tmp_path):
    project = copy_of(template, tmp_path)
    project.base = template.base
    for name in ("runs", "broken"):
        (project.base / name).unlink(missing_ok=True)
    return project


def runs(film) -> list[str]:
    path = film.base / "runs"
    return path.read_text().split() if path.exists() else []


def accepted(film, revision: str = "") -> dict[str, str]:
    found = {}
    for asset in ASSETS:
        text = film.git("show", f"{revision}:{asset}.regen.json").stdout
        found[asset] = json.loads(text)["output"]["hash"].removeprefix("blake3:")
    return found


def forget_bytes(film, *assets: str, revision: str = "two") -> None:
    """Remove the accepted bytes of these assets from every store and from the spare pool."""
    hashes = accepted(film, revision)
    for store in (film.user.keep, film.user.cache):
        for asset in assets:
            path = store / "v1" / "objects" / hashes[asset][:2] / hashes[asset][2:]
            path.unlink(missing_ok=True)
    shutil.rmtree(film.root / ".git" / "regen" / "spare", ignore_errors=True)


def assert_all_there(film) -> None:
    """Every asset is what its sidecar in HEAD accepts."""
    for asset, wanted in accepted(film, "HEAD").items():
        assert hash_file(film.path(asset)) == wanted, asset
    assert set(film.status().values()) == {"ok"}


def said(done) -> list[str]:
    return [line for line in done.stderr.splitlines() if line.startswith("regen-vcs:")]


# ---------------------------------------------------------------- bytes that are nowhere


def test_a_lost_cache_is_filled_again_by_a_switch(film):
    forget_bytes(film, *MADE)
    done = film.git("switch", "-q", "two")
    assert said(done) == []
    assert sorted(runs(film)) == ["shout", "whisper"]  # and the built-in without a process of ours to count
    assert_all_there(film)


def test_source_bytes_that_are_nowhere_are_named_and_nothing_else_suffers(film):
    forget_bytes(film, "plate.png")
    done = film.git("switch", "-q", "two")
    (line,) = said(done)
    assert "1 asset missing" in line and "source asset" in line
    assert not film.path("plate.png").exists()  # the old bytes would be a lie under this name
    state = film.status()
    assert state.pop("plate.png") == "missing" and set(state.values()) == {"ok"}
    # And nothing is lost: main has its own.
    film.git("switch", "-q", "main")
    assert_all_there(film)
    # The repair: the bytes come from whoever has them.
    film.git("switch", "-q", "two")
    film.write("plate.png", media_bytes("plate", 2))
    film.regen("sync")
    assert_all_there(film)
    film.git("switch", "-q", "main")
    film.git("switch", "-q", "two")
    assert_all_there(film)


def test_a_failing_generator_fails_no_git_command(film):
    forget_bytes(film, *MADE)
    (film.base / "broken").touch()
    done = film.git("switch", "-q", "two")
    (line,) = said(done)
    assert "2 assets missing: 2 failed" in line and "regen-vcs status" in line
    state = film.status()
    assert (state["loud.txt"], state["quiet.txt"], state["sky.png"]) == ("failed", "failed", "ok")
    assert "the GPU is on fire" in film.regen("show", "loud.txt").stdout
    for command in (("stash",), ("commit", "-q", "--allow-empty", "-m", "go on"), ("switch", "-q", "main"), ("switch", "-q", "two")):
        film.git(*command)
    (film.base / "broken").unlink()
    film.regen("sync")
    assert_all_there(film)


def test_a_failing_generator_is_not_run_for_ever(film):
    """A hook that runs again does not run again what has just failed with the very same recipe."""
    forget_bytes(film, *MADE)
    (film.base / "broken").touch()
    film.git("switch", "-q", "two")
    first = len(runs(film))
    film.regen("status")
    film.git("commit", "-q", "--allow-empty", "-m", "nothing changed")
    film.git("status")
    assert len(runs(film)) == first


def test_what_failed_to_come_back_is_missing_to_whoever_asks_for_that(film):
    (film.base / "broken").touch()
    forget_bytes(film, "loud.txt")
    film.git("switch", "-q", "two")
    assert film.status()["loud.txt"] == "failed"
    (film.base / "broken").unlink()
    film.regen("regenerate", "--missing")
    assert_all_there(film)


def test_a_missing_input_blocks_only_what_needs_it(film):
    film.regen("generate", "echo.txt", "-g", "command:shout", "-i", "text=quiet.txt", "-p", "word=again")
    film.commit("chain")
    film.git("switch", "-q", "two")
    forget_bytes(film, *MADE, revision="main")
    echo = json.loads(film.git("show", "main:echo.txt.regen.json").stdout)["output"]["hash"][7:]
    (film.user.keep / "v1" / "objects" / echo[:2] / echo[2:]).unlink()
    film.git("rm", "-q", "--cached", "tools/whisper.py")
    film.git("commit", "-qnm", "the script is gone")
    (film.root / "tools/whisper.py").rename(film.root / "whisper.kept")
    film.git("switch", "-q", "main")
    film.regen("sync")
    assert film.path("echo.txt").exists() and film.path("quiet.txt").exists()
    assert set(film.status().values()) == {"ok"}


# ---------------------------------------------------------------- nobody to ask


def break_launcher(film) -> None:
    """The Python that the tool was installed with is gone, and PATH (of a GUI, say) does not name the tool."""
    for hook in (film.root / ".git" / "hooks").iterdir():
        if hook.is_file() and sys.executable in hook.read_text(errors="replace"):
            hook.write_text(hook.read_text().replace(sys.executable, "/nowhere/bin/python"))
    for config in (film.root / ".git" / "config", film.user.home / ".gitconfig"):
        config.write_text(config.read_text().replace(sys.executable, "/nowhere/bin/python"))
    assert "/nowhere" in (film.root / ".git" / "hooks" / "post-checkout").read_text()
    film.env["PATH"] = os.pathsep.join(
        folder for folder in film.env["PATH"].split(os.pathsep) if not os.path.exists(os.path.join(folder, "regen-vcs"))
    )


def mend_launcher(film) -> None:
    film.env["PATH"] = film.user.env["PATH"]
    film.regen("init")


def test_no_tool_no_obstacle(film):
    before = film.path("plate.png").read_bytes()
    break_launcher(film)
    done = film.git("switch", "-q", "two")
    (line,) = said(done)[:1]
    assert "not found" in line and "regen-vcs init" in line  # what is wrong, and what to do
    assert len(set(said(done))) == 1
    assert film.path("plate.png").read_bytes() == before  # nobody touched anything
    film.git("log", "-p", "--stat", "-1")
    film.git("diff", "main", "two")
    film.write("notes.txt", b"notes")
    film.git("add", "notes.txt")
    film.git("commit", "-qm", "notes, without the tool")
    film.git("stash", "push", "-q", "-u")
    film.git("switch", "-q", "main")
    film.git("merge", "-q", "--no-edit", "two")
    film.git("reset", "-q", "--hard", "HEAD~1")
    film.git("rebase", "-q", "two")
    mend_launcher(film)
    assert_all_there(film)


def test_a_merge_without_the_tool_is_never_silently_wrong(film):
    """Both sides changed a sidecar. Without the driver git must leave a conflict that can be seen, or merge as text."""
    film.regen("set", "sky.png", "seed=3")
    film.regen("regenerate", "sky.png")
    film.commit("three")
    break_launcher(film)
    done = film.git("merge", "--no-edit", "two", check=False)
    assert done.returncode == 1
    text = film.path("sky.png.regen.json").read_text()
    assert "<<<<<<<" in text or "CONFLICT" in done.stdout
    assert "sky.png.regen.json" in film.git("diff", "--name-only", "--diff-filter=U").stdout
    film.git("merge", "--abort")
    mend_launcher(film)
    assert_all_there(film)


def test_the_global_filter_without_its_python(home):
    from tests.real_git.film import make_film

    film = make_film(home, "filter")
    config = home.home / ".gitconfig"
    config.write_text(config.read_text().replace(sys.executable, "/nowhere/bin/python"))
    film.env["PATH"] = "/usr/bin:/bin"
    film.git("switch", "-q", "two")
    clone = film.root.parent / "klon"
    film.git("clone", "-q", str(film.root), str(clone))
    assert (clone / "a.png.regen.json").read_bytes() == film.path("a.png.regen.json").read_bytes()
    film.env["PATH"] = home.env["PATH"]
    film.regen("install", "--global")
    film.regen("sync")
    assert film.path("a.png").read_bytes() == media_bytes("a.png", 2)


def test_a_program_that_is_not_installed(film):
    film.write("regen.toml", PROJECT.replace('"python3", "{code}/shout.py"', '"no-such-program"').encode())
    film.regen("trust", "--yes")
    done = film.regen("generate", "new.txt", "-g", "command:shout", "-i", "text=text.txt", "-p", "word=x", check=False)
    assert done.returncode == 1 and "no-such-program" in done.stderr and "Traceback" not in done.stderr
    film.git("switch", "-q", "--discard-changes", "two")
    assert film.path("loud.txt").exists()


# ---------------------------------------------------------------- trust


def test_untrusted_commands_are_named_not_run(film):
    film.regen("trust", "--revoke")
    forget_bytes(film, *MADE)
    done = film.git("switch", "-q", "two")
    (line,) = said(done)
    assert "2 assets missing" in line and "not trusted" in line and "regen-vcs trust" in line
    assert runs(film) == []
    assert film.status()["sky.png"] == "ok"  # the built-in needs no trust
    done = film.regen("regenerate", "--missing", check=False)
    assert done.returncode == 4 and runs(film) == []
    film.regen("trust", "--yes")
    film.regen("sync")
    assert_all_there(film)


# ---------------------------------------------------------------- what a checkout may do


@pytest.mark.parametrize("policy", ["leave", "fetch"])
def test_a_checkout_that_makes_nothing(film, policy):
    film.git("config", "regen.checkoutMissing", policy)
    forget_bytes(film, *MADE)
    done = film.git("switch", "-q", "two")
    (line,) = said(done)
    assert "3 assets missing: 3 to regenerate" in line and "run: regen-vcs sync" in line
    assert runs(film) == []
    assert film.path("plate.png").read_bytes() == media_bytes("plate", 2)  # what a store has, comes
    film.regen("sync")
    assert_all_there(film)


def test_a_repository_cannot_turn_the_users_policy(film):
    """git config is nearer than regen.toml."""
    film.git("config", "regen.checkoutMissing", "leave")
    film.write("regen.toml", (PROJECT + '\n[checkout]\nmissing = "regenerate"\n').encode())
    film.git("commit", "-qam", "policy")
    film.regen("trust", "--yes")
    forget_bytes(film, *MADE)
    film.git("switch", "-q", "two")
    assert runs(film) == []


def test_a_checkout_that_would_take_too_long_is_left_for_later(film):
    film.git("config", "regen.checkoutWait", "0.01s")
    forget_bytes(film, *MADE)
    done = film.git("switch", "-q", "two")
    (line,) = said(done)
    assert "3 to regenerate" in line and runs(film) == []
    film.git("config", "regen.checkoutWait", "10m")
    film.git("switch", "-q", "main")
    assert said(film.git("switch", "-q", "two")) == []
    assert_all_there(film)


def test_an_unknown_time_counts_as_long(film):
    shutil.rmtree(film.user.keep / "v1" / "results")
    forget_bytes(film, *MADE)
    (line,) = said(film.git("switch", "-q", "two"))
    assert "3 to regenerate" in line and "more" in line
    assert runs(film) == []
    film.regen("sync")
    assert_all_there(film)


def test_in_a_rebase_nothing_is_made(film):
    """Each step gets what the stores have; what is nowhere waits for the end."""
    film.write("notes.txt", b"notes")
    film.commit("notes")
    forget_bytes(film, *MADE)
    done = film.git("rebase", "-q", "two")
    assert done.returncode == 0
    film.regen("sync")
    assert_all_there(film)


# ---------------------------------------------------------------- what makes a recipe stale


def states(film) -> dict[str, str]:
    found = film.status()
    return {path: state for path, state in found.items() if state != "ok"}


@pytest.mark.parametrize(
    ("file", "change", "stale"),
    [
        ("graphs/w.json", lambda text: text.replace("1", "7"), {"quiet.txt"}),
        ("text.txt", lambda text: text + "more\n", {"loud.txt"}),
        ("regen.toml", lambda text: text.replace('"{params.word}"]', '"{params.word}", "--more"]'), {"loud.txt"}),
        ("tools/whisper.py", lambda text: text + "# changed\n", {"quiet.txt"}),
        ("tools/shout.py", lambda text: text + "# changed\n", {"loud.txt"}),
        ("regen.toml", lambda text: "# only a comment\n" + text, set()),
        ("notes.txt", lambda text: "a note", set()),
    ],
)
@pytest.mark.parametrize("staged", [False, True])
def test_an_edit_makes_exactly_its_recipes_stale(film, file, change, stale, staged):
    path = film.path(file)
    before = path.read_bytes() if path.exists() else None
    path.write_text(change(path.read_text() if before else ""))
    if staged:
        film.git("add", file)
    assert states(film) == dict.fromkeys(stale, "stale")
    assert states(film) == dict.fromkeys(stale, "stale")  # and the second look, from memory, says the same
    if before is None:
        path.unlink()
        film.git("rm", "-q", "--cached", "--ignore-unmatch", file)
    else:
        path.write_bytes(before)
        if staged:
            film.git("add", file)
    assert states(film) == {}  # without a run
    assert runs(film) == []


def test_a_stale_asset_still_comes_on_checkout(film):
    film.write("text.txt", b"edited\n")
    film.path("loud.txt").unlink()
    film.regen("sync")
    assert runs(film) == [] and film.path("loud.txt").exists()
    assert states(film) == {"loud.txt": "stale"}


def test_a_stale_recipe_is_run_by_nobody_but_the_user(film):
    film.write("graphs/w.json", b'{"nodes": 7}\n')
    film.git("add", "-A")
    film.regen("sync")
    film.git("commit", "-qnm", "graph")
    film.git("switch", "-q", "two")
    film.git("switch", "-q", "main")
    assert runs(film) == []
    film.regen("trust", "--yes")
    film.regen("regenerate", "--stale")
    assert runs(film) == ["whisper"] and states(film) == {}


@pytest.mark.parametrize("file", ["regen.toml", "tools/shout.py"])
def test_missing_and_defined_otherwise_is_refused(film, file):
    """It could only make other bytes than the accepted ones, under their name."""
    text = film.path(file).read_text()
    film.write(file, (text.replace('"{params.word}"]', '"{params.word}", "x"]') if file == "regen.toml" else text + "# x\n").encode())
    film.git("add", "-A")
    film.regen("trust", "--yes")
    forget_bytes(film, "loud.txt", revision="main")
    film.path("loud.txt").unlink()
    done = film.regen("sync")
    assert "1 asset missing" in done.stderr and "definition" in done.stderr
    assert runs(film) == []
    document = json.loads(film.regen("status", "--json").stdout)
    entry = next(each for each in document["assets"] if each["path"] == "loud.txt")
    assert entry["state"] == "missing" and "definition" in entry["reason"]
    film.write(file, text.encode())
    film.git("add", "-A")
    film.regen("sync")
    assert_all_there(film)


def test_missing_and_edited_input_is_refused(film):
    film.write("text.txt", b"other words\n")
    film.git("add", "-A")
    forget_bytes(film, "loud.txt", revision="main")
    film.path("loud.txt").unlink()
    done = film.regen("sync")
    assert "1 asset missing" in done.stderr and "stale" in done.stderr and runs(film) == []
