"""The working set: what a checkout holds, what stays a recipe, and that nothing is lost on the way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time

import pytest

from regen_vcs.model.canonical import pretty_bytes
from tests.conftest import PYTHON
from tests.real_git import film as films
from tests.real_git import recipes
from tests.real_git.film import TRIGGERS, media_bytes

SHOTS = ("shots/010/a.png", "shots/010/deep/b.png", "shots/020/a.png", "shots/020/ü b.png", "plates/bg.png", "logo.png")


@pytest.fixture
def shots(home):
    """Source assets in shots and beside them; with a tag, a shot and a scene in some recipes."""
    project = home.repo()
    for path in SHOTS:
        project.write(path, media_bytes(path, 1))
    project.regen("add", ".")
    note(project, "logo.png", tags=["hero", "red"])
    note(project, "plates/bg.png", shot="010", scene="desert")
    project.commit("shots")
    return project


def note(project, path: str, **meta) -> None:
    sidecar = project.path(path + ".regen.json")
    document = json.loads(sidecar.read_text())
    document["meta"] = meta
    sidecar.write_bytes(pretty_bytes(document))


def on_disk(project) -> set[str]:
    return films.media(project.root)


def skipped(project) -> set[str]:
    return {path for path, state in project.status().items() if state == "skipped"}


def workset(project, *words: str, check: bool = True):
    return project.regen("workset", *words, check=check)


def document(project) -> dict:
    return json.loads(workset(project, "show", "--json").stdout)


def keep_objects(project) -> int:
    return sum(len(files) for _, _, files in os.walk(project.user.keep / "v1" / "objects"))


# -- choosing ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("words", "held"), [
    (("shots/010/**",), {"shots/010/a.png", "shots/010/deep/b.png"}),
    (("shots", ":(exclude)shots/020"), {"shots/010/a.png", "shots/010/deep/b.png"}),
    (("--shot", "010", "--tag", "red"), {"shots/010/a.png", "shots/010/deep/b.png", "plates/bg.png", "logo.png"}),
    (("--tag", "hero", "--scene", "desert", "shots/020/ü b.png.regen.json"), {"logo.png", "plates/bg.png", "shots/020/ü b.png"}),
    (("--tag", "nobody"), set()),
    (("--nothing",), set()),
])  # fmt: skip
def test_only_holds_what_is_named_and_status_tells_of_the_rest(shots, words, held):
    done = workset(shots, "only", *words)
    assert on_disk(shots) == held
    assert skipped(shots) == set(SHOTS) - held
    assert f"{6 - len(held)} asset" in done.stdout and "frees" in done.stdout
    quick = shots.regen("status").stdout
    assert f"{6 - len(held)} skipped" in quick and "regen-vcs workset" in quick
    assert "missing" not in quick
    assert not shots.git("status", "--porcelain").stdout.strip()

    workset(shots, "all")
    assert on_disk(shots) == set(SHOTS) and not skipped(shots)
    assert all(shots.path(path).read_bytes() == media_bytes(path, 1) for path in SHOTS)
    assert not os.path.exists(shots.root / ".git/regen/workset")


def test_add_and_remove_speak_of_the_set_as_it_is(shots):
    workset(shots, "only", "shots/010")
    workset(shots, "add", "--tag", "hero", "shots/020")
    workset(shots, "remove", "shots/020/a.png")
    assert on_disk(shots) == {"shots/010/a.png", "shots/010/deep/b.png", "shots/020/ü b.png", "logo.png"}
    workset(shots, "add", "shots/020/a.png")
    workset(shots, "remove", "shots/010/**", "--tag", "hero")
    assert on_disk(shots) == {"shots/020/a.png", "shots/020/ü b.png"}
    workset(shots, "add", ".")
    assert on_disk(shots) == set(SHOTS) and document(shots)["everything"]
    workset(shots, "remove", "shots")  # from everything
    assert on_disk(shots) == {"plates/bg.png", "logo.png"}


def test_from_a_folder_words_are_as_git_takes_them_there(shots):
    shots.regen("workset", "only", "020", ":/logo.png", cwd=shots.path("shots"))
    assert on_disk(shots) == {"shots/020/a.png", "shots/020/ü b.png", "logo.png"}
    shots.regen("workset", "remove", "*.png", cwd=shots.path("shots/020"))
    assert on_disk(shots) == {"logo.png"}
    shots.regen("workset", "add", str(shots.path("shots/010")))
    assert on_disk(shots) == {"logo.png", "shots/010/a.png", "shots/010/deep/b.png"}


def test_words_that_mean_nothing_change_nothing(shots):
    for words in (("only",), ("only", "../.."), ("add", "--tag", ""), ("only", "--nothing", "a"), ("add", "--uses", "nothing.blend"), ("add", ".git/x")):
        done = workset(shots, *words, check=False)
        assert done.returncode == 2 and "hint:" in done.stderr, words
    assert on_disk(shots) == set(SHOTS) and document(shots)["everything"]


def test_odd_names_a_directory_and_a_sequence(home):
    project = home.repo()
    names = ["shots/ünï cödé/a b.png", "shots/[x]/c.png", "-dash.png", "new\nline.png", "sim/cache/one.vdb", "sim/cache/two.vdb", "bg.0001.png", "bg.0002.png"]
    for name in names:
        project.write(name, media_bytes(name, 1))
    project.regen("add", "shots", "./-dash.png", "new\nline.png")
    project.regen("add", "--as-one", "sim/cache")
    project.regen("add", "--as-one", "bg.####.png")
    project.commit("odd")
    workset(project, "only", "sim/cache/**", "shots/[[]x]/*")
    assert sorted(path for path in names if project.path(path).exists()) == ["shots/[x]/c.png", "sim/cache/one.vdb", "sim/cache/two.vdb"]
    workset(project, "remove", "sim/**")
    workset(project, "add", "new\nline.png", "bg.####.png", "./-dash.png", ":(literal)shots/ünï cödé")
    assert sorted(path for path in names if project.path(path).exists()) == sorted(set(names) - {"sim/cache/one.vdb", "sim/cache/two.vdb"})
    assert not project.path("sim").exists() or not list(project.path("sim").rglob("*.vdb"))
    workset(project, "all")
    assert all(project.path(name).read_bytes() == media_bytes(name, 1) for name in names)


# -- nothing is lost -----------------------------------------------------------------------------------------------------------


def test_what_is_modified_stays_and_is_named(shots):
    shots.write("shots/020/a.png", b"my own work")
    done = workset(shots, "only", "logo.png")
    assert "left     shots/020/a.png" in done.stderr
    assert shots.path("shots/020/a.png").read_bytes() == b"my own work"
    assert shots.status()["shots/020/a.png"] == "modified"
    assert on_disk(shots) == {"logo.png", "shots/020/a.png"}
    assert "1 on disk outside" in workset(shots, "show").stderr


def test_bytes_that_only_the_worktree_has_go_into_a_store_first_and_free_nothing(shots):
    shutil.rmtree(shots.user.keep / "v1" / "objects")
    done = json.loads(workset(shots, "only", "logo.png", "--json").stdout)
    assert done["freed"] == 0 and len(done["took"]) == 5
    assert keep_objects(shots) >= 5
    workset(shots, "all")
    assert all(shots.path(path).read_bytes() == media_bytes(path, 1) for path in SHOTS)


def test_bytes_that_cannot_be_stored_stay_where_they_are(shots):
    if os.geteuid() == 0:
        shutil.rmtree(shots.user.keep / "v1" / "objects")
        (shots.user.keep / "v1" / "objects").write_bytes(b"a file in the store's place")
    else:
        shutil.rmtree(shots.user.keep / "v1" / "objects")
        (shots.user.keep / "v1").chmod(0o500)
    done = workset(shots, "only", "logo.png", check=False)
    assert done.returncode != 0 and "shots/010/a.png" in done.stderr
    assert on_disk(shots) == set(SHOTS)


def test_a_dry_run_says_what_would_leave_and_touches_nothing(shots):
    shots.write("logo.png", b"mine")
    done = workset(shots, "only", "shots/010", "--dry-run")
    assert "would take 3 assets" in done.stdout and "logo.png" in done.stderr
    assert on_disk(shots) == set(SHOTS) and document(shots)["everything"]


def test_a_set_that_nobody_can_read_is_an_error_and_takes_nothing_away(shots):
    shots.git("branch", "other")
    workset(shots, "only", "shots/010")
    held = on_disk(shots)
    (shots.root / ".git/regen/workset").write_bytes(b'{"regen-workset": 1, "selectors": [')
    for words in (("sync",), ("status",), ("workset", "add", "logo.png")):
        done = shots.regen(*words, check=False)
        assert done.returncode == 3 and "regen-vcs workset all" in done.stderr, words
    shots.git("switch", "-q", "other")  # git goes on
    assert on_disk(shots) == held
    workset(shots, "only", "logo.png")
    assert on_disk(shots) == {"logo.png"}


def test_a_newer_version_s_set_is_left_alone(shots):
    text = '{"regen-workset": 2, "what": "ever"}'
    (shots.root / ".git/regen/workset").write_text(text)
    done = shots.regen("sync", check=False)
    assert done.returncode == 3 and "newer" in done.stderr
    assert on_disk(shots) == set(SHOTS)
    assert (shots.root / ".git/regen/workset").read_text() == text


def test_killed_in_the_middle_nothing_is_lost_and_the_next_finishes(home):
    project = home.repo()
    names = [f"media/{number:03}.png" for number in range(150)]
    for name in names:
        project.write(name, media_bytes(name, 1))
    project.regen("add", "media")
    project.commit("many")
    for delay in (0.3, 0.4, 0.5):
        child = subprocess.Popen([PYTHON, "-I", "-m", "regen_vcs", "workset", "only", "media/00*"], cwd=project.root, env=project.env,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        time.sleep(delay)
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert "modified" not in project.regen("status").stdout
        workset(project, "all")
        assert all(project.path(name).read_bytes() == media_bytes(name, 1) for name in names)
    workset(project, "only", "media/00*")
    assert len(on_disk(project)) == 10


# -- git -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_switching_brings_only_what_is_in_the_set(home, trigger):
    project = films.make_film(home, trigger)
    workset(project, "only", "a.png", "neu.png", "dir/b.png")
    assert on_disk(project) == {"a.png", "dir/b.png"}
    project.git("switch", "-q", "two")
    films.settle(project)
    assert project.path("a.png").read_bytes() == media_bytes("a.png", 2)
    assert on_disk(project) == {"a.png", "neu.png"}  # which came to be only there
    assert skipped(project) == {"dir/ü c.png", "dir/deep/d.png"}
    project.git("switch", "-q", "main")
    films.settle(project)
    assert on_disk(project) == {"a.png", "dir/b.png"}
    workset(project, "all")
    films.assert_matches(project)


def test_what_was_brought_by_name_stays_until_its_recipe_changes(home):
    project = films.make_film(home, "hooks")
    workset(project, "only", "dir/**")
    assert "nothing to fetch" in project.regen("fetch").stdout
    project.regen("fetch", "a.png")
    assert project.path("a.png").read_bytes() == media_bytes("a.png", 1)
    assert project.status()["a.png"] == "ok"
    project.regen("sync")
    assert project.path("a.png").exists()
    project.git("switch", "-q", "two")  # another a.png: the old one would be a lie, and nobody asked for this one
    assert not project.path("a.png").exists() and project.status()["a.png"] == "skipped"
    project.regen("fetch", "a.png")
    assert project.path("a.png").read_bytes() == media_bytes("a.png", 2)
    workset(project, "reapply")
    assert not project.path("a.png").exists()


def test_an_edit_outside_the_set_survives_every_switch(home):
    project = films.make_film(home, "hooks")
    project.write("a.png", b"mine")
    workset(project, "only", "dir/**")
    project.git("switch", "-q", "two")
    project.git("switch", "-q", "main")
    assert project.path("a.png").read_bytes() == b"mine"


def test_each_worktree_has_its_own_set(shots, tmp_path):
    workset(shots, "only", "shots/010")
    shots.git("worktree", "add", "-q", str(tmp_path / "other"))
    other = type(shots)(shots.user, tmp_path / "other")
    other.env = shots.env
    assert on_disk(other) == set(SHOTS)
    workset(other, "only", "logo.png")
    assert on_disk(other) == {"logo.png"}
    assert on_disk(shots) == {"shots/010/a.png", "shots/010/deep/b.png"}
    assert document(shots)["selectors"] != document(other)["selectors"]


def test_sparse_checkout_and_set_both_count(shots):
    shots.git("sparse-checkout", "set", "--no-cone", "/shots/", "/logo.png*")
    assert on_disk(shots) == {path for path in SHOTS if not path.startswith("plates")}
    assert shots.status()["plates/bg.png"] == "skipped"
    workset(shots, "only", "shots/010", "plates")
    assert on_disk(shots) == {"shots/010/a.png", "shots/010/deep/b.png"}  # plates/ is git's to bring
    assert document(shots)["sparse"] == 1
    shots.git("sparse-checkout", "set", "--no-cone", "/plates/", "/shots/020/")
    assert on_disk(shots) == {"plates/bg.png"}
    assert skipped(shots) == set(SHOTS) - {"plates/bg.png"}
    shots.git("sparse-checkout", "disable")
    assert on_disk(shots) == {"shots/010/a.png", "shots/010/deep/b.png", "plates/bg.png"}
    workset(shots, "all")
    assert on_disk(shots) == set(SHOTS)


def test_a_clone_with_a_set_from_the_beginning_brings_no_more(shots):
    clone = shots.user.work / "clone"
    shots.git("clone", "-qn", str(shots.root), str(clone))
    other = type(shots)(shots.user, clone)
    other.regen("init", check=False)
    workset(other, "only", "shots/010")
    other.git("reset", "-q", "--hard")
    assert on_disk(other) == {"shots/010/a.png", "shots/010/deep/b.png"}


def test_the_quick_status_sees_the_set_change(shots):
    workset(shots, "only", "logo.png")
    time.sleep(0.05)
    for _ in range(2):
        assert "5 skipped" in shots.regen("status").stdout
    path = shots.root / ".git/regen/workset"
    text = path.read_text()
    path.write_text(text.replace("logo.png", "shots"))  # by hand
    assert "4 missing" in shots.regen("status").stdout
    path.write_text(text)
    assert "5 skipped" in shots.regen("status").stdout


def test_two_at_once_end_with_one_of_both_sets(shots):
    def change(words):
        for _ in range(4):
            workset(shots, *words)

    threads = [threading.Thread(target=change, args=(words,)) for words in (("only", "shots/010"), ("only", "shots/020"))]
    threads.append(threading.Thread(target=lambda: [shots.regen("sync") for _ in range(4)]))
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    workset(shots, "reapply")
    assert on_disk(shots) in ({"shots/010/a.png", "shots/010/deep/b.png"}, {"shots/020/a.png", "shots/020/ü b.png"})
    workset(shots, "all")
    assert all(shots.path(path).read_bytes() == media_bytes(path, 1) for path in SHOTS)


# -- what is made --------------------------------------------------------------------------------------------------------------


def texture(project, path: str, seed: int, **inputs: str) -> None:
    recipes.write(project, path, recipes.generated(path, None, recipes.TEXTURE | {"seed": seed}, **inputs))


def lose(project) -> None:
    shutil.rmtree(project.user.keep, ignore_errors=True)
    shutil.rmtree(project.user.cache, ignore_errors=True)
    shutil.rmtree(project.root / ".git/regen/spare", ignore_errors=True)


@pytest.fixture
def made(home):
    """Textures a and b, both accepted and committed."""
    project = home.repo()
    texture(project, "in/a.png", 1)
    texture(project, "out/b.png", 2)
    project.git("add", "-A")
    project.regen("regenerate")
    project.commit("textures")
    return project


def test_what_is_outside_is_never_made_unless_it_is_named(made):
    before = {path: made.path(path).read_bytes() for path in ("in/a.png", "out/b.png")}
    workset(made, "only", "in")
    lose(made)
    made.path("in/a.png").unlink()
    made.regen("sync")
    assert on_disk(made) == {"in/a.png"}
    for words in (("regenerate", "--missing"), ("regenerate",), ("regenerate", "--all"), ("fetch",)):
        made.regen(*words)
        assert on_disk(made) == {"in/a.png"}, words
    made.regen("regenerate", "--missing", "out")
    assert made.path("out/b.png").read_bytes() == before["out/b.png"]
    assert made.status() == {"in/a.png": "ok", "out/b.png": "ok"}


def test_growing_it_makes_again_what_is_in_no_store(made):
    before = made.path("out/b.png").read_bytes()
    workset(made, "only", "in")
    lose(made)
    done = workset(made, "add", "out")
    assert "1 regenerated" in done.stdout
    assert made.path("out/b.png").read_bytes() == before


@pytest.fixture
def chain(home):
    """out.txt is made from in.txt by a command, and in.txt by another."""
    project = home.repo()
    project.write("tools/make.sh", b'printf "%s of " "$2" >"$1"; cat "$3" >>"$1" 2>/dev/null; exit 0\n')
    project.write("regen.toml", b"""\
[generators.make]
uses = "command"
argv = ["sh", "{code}/make.sh", "{output}", "{params.word}", "{inputs.source}"]
code = ["tools/make.sh"]
""")
    project.write("seed.txt", b"seed")
    project.git("add", "-A")
    project.regen("trust", "--yes")
    make = ("--generator", "command:make", "--param")
    project.regen("generate", "up/in.txt", *make, "word=in", "--input", "source=seed.txt")
    project.regen("generate", "down/out.txt", *make, "word=out", "--input", "source=up/in.txt")
    project.commit("chain")
    return project


def test_inputs_outside_the_set_are_made_for_it_but_not_shown(chain):
    workset(chain, "only", "down")
    assert not chain.path("up/in.txt").exists()
    lose(chain)
    chain.path("down/out.txt").unlink()
    done = chain.regen("sync")
    assert "2 regenerated" in done.stdout, done.stdout + done.stderr
    assert chain.path("down/out.txt").read_text() == "out of in of seed"
    assert not chain.path("up/in.txt").exists()
    assert chain.status() == {"down/out.txt": "ok", "up/in.txt": "skipped"}
    assert "nothing to do" in chain.regen("sync").stdout


def test_nothing_upstream_is_made_where_the_stores_have_the_bytes(chain):
    workset(chain, "only", "down")
    shutil.rmtree(chain.root / ".git/regen/spare", ignore_errors=True)
    assert "nothing to do" in chain.regen("sync").stdout
    chain.path("down/out.txt").unlink()
    assert "1 brought" in chain.regen("sync").stdout


# -- filling ---------------------------------------------------------------------------------------------------------------------


def test_a_worker_with_nothing_else_to_do_brings_what_the_set_misses(made):
    before = made.path("in/a.png").read_bytes()
    workset(made, "only", "in")
    lose(made)
    made.path("in/a.png").unlink()
    assert "nothing to do" in made.regen("worker").stdout
    made.regen("worker", "--fill")
    assert made.path("in/a.png").read_bytes() == before
    assert on_disk(made) == {"in/a.png"} and made.status()["out/b.png"] == "skipped"
    jobs = json.loads(made.regen("queue", "--all", "--json").stdout)["jobs"]
    assert [job["path"] for job in jobs if job["priority"] == "background"] == ["in/a.png"]


def test_the_rest_of_the_repository_comes_into_the_store_only(made):
    workset(made, "only", "in")
    made.git("config", "regen.worksetFill", "all")
    lose(made)
    made.regen("worker", "--fill")
    assert on_disk(made) == {"in/a.png"}
    states = {each["path"]: (each["state"], each["in_store"]) for each in json.loads(made.regen("status", "--json").stdout)["assets"]}
    assert states["out/b.png"] == ("skipped", True)
    assert "nothing to do" in made.regen("worker", "--fill").stdout


@pytest.mark.parametrize("setting", [("regen.worksetFill", "off"), ("regen.checkoutMissing", "leave")])
def test_filling_can_be_turned_off(made, setting):
    made.git("config", *setting)
    lose(made)
    made.path("in/a.png").unlink()
    assert "nothing to do" in made.regen("worker", "--fill").stdout
    assert not made.path("in/a.png").exists()


def test_filling_puts_on_disk_what_the_stores_have_and_leaves_edits_alone(shots):
    shots.path("logo.png").unlink()
    shots.write("plates/bg.png", b"mine")
    shots.regen("worker", "--fill")
    assert shots.path("logo.png").read_bytes() == media_bytes("logo.png", 1)
    assert shots.path("plates/bg.png").read_bytes() == b"mine"


def test_what_failed_or_was_cancelled_is_not_queued_again_and_again(chain):
    chain.git("config", "regen.checkoutMissing", "regenerate")
    workset(chain, "only", "down")
    lose(chain)
    chain.path("down/out.txt").unlink()
    chain.regen("regenerate", "--missing", "--queue", "down/out.txt")
    chain.regen("queue", "cancel", "down/out.txt")
    assert "nothing to do" in chain.regen("worker", "--fill").stdout


def test_left_to_the_background_it_comes_by_a_worker(made):
    workset(made, "only", "in")
    lose(made)
    done = workset(made, "add", "out", "--background")
    assert "1 left to a worker" in done.stdout and not made.path("out/b.png").exists()
    made.regen("worker")
    assert made.path("out/b.png").exists()


def test_shrinking_drops_the_jobs_that_nobody_needs_any_more(made):
    workset(made, "only", "in")
    lose(made)
    workset(made, "add", "out", "--background")
    assert "1 queued jobs are not needed" in workset(made, "remove", "out").stdout
    assert "nothing to do" in made.regen("worker").stdout
    assert on_disk(made) == {"in/a.png"}


SLOW = """\
[generators.slow]
uses = "command"
argv = ["sh", "{code}/slow.sh", "{output}", "{params.says}"]
code = ["tools/slow.sh"]
"""


def test_what_is_made_in_the_background_makes_room_for_the_user(home):
    project = home.repo()
    log = home.base / "log"
    project.write("regen.toml", SLOW.encode())
    # Once there is a log, the first run of the long one takes a minute, and the user's takes until that one was ended: a job that is
    # over before the worker has looked up needs no room.
    project.write("tools/slow.sh", f"""\
if [ -e "{log}" ]; then
    grep -qs "begin $2" "{log}" || first=1
    [ "$2" = user ] || [ ! "$first" ] || echo $$ >"{log}.first"
    echo "begin $2" >>"{log}"
    [ ! "$first" ] || case "$2" in
    long) sleep 60 ;;
    user) for _ in $(seq 300); do kill -0 $(cat "{log}.first") 2>/dev/null || break; sleep 0.1; done ;;
    esac
    echo "end $2" >>"{log}"
fi
echo "$2" >"$1"
""".encode())
    project.git("add", "-A")
    project.regen("trust", "--yes")
    project.regen("generate", "long.txt", "-g", "command:slow", "-p", "says=long")
    project.regen("generate", "user.txt", "-g", "command:slow", "-p", "says=user")
    project.commit("slow ones")
    lose(project)
    project.path("long.txt").unlink()
    log.write_text("")
    worker = subprocess.Popen([PYTHON, "-I", "-m", "regen_vcs", "worker", "--fill"], cwd=project.root, env=project.env)
    try:
        deadline = time.monotonic() + 30
        while "begin long" not in log.read_text() and time.monotonic() < deadline:
            time.sleep(0.02)
        project.regen("regenerate", "user.txt")
        worker.wait(60)
    finally:
        worker.kill()
    lines = log.read_text().split("\n")
    assert lines.index("end user") < lines.index("end long")
    assert lines.count("begin long") == 2 and lines.count("end long") == 1
    assert project.path("long.txt").read_text() == "long\n"
