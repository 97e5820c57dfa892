"""The Python API, in this process, on real repositories."""

from __future__ import annotations

import builtins
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import regen_vcs
from regen_vcs.api import (
    Interrupted,
    InvalidError,
    NotTrusted,
    RegenerationError,
    RegenerationPriority,
    RegenerationQueue,
    UsageError,
)
from regen_vcs.engine import queue as engine_queue
from regen_vcs.engine.making import make_assets
from tests.conftest import Home
from tests.real_git.copies import copy_of
from tests.real_git.recipes import read

PROJECT = """\
[generators.tool]
uses = "command"
argv = ["python3", "{code}/tool.py", "{output}", "{params.text}", "{params.mode}"]
code = ["tools/tool.py"]
[generators.tool.params]
text = { type = "string", default = "" }
mode = { type = "string", default = "write" }

[generators.twice]
uses = "command"
argv = ["python3", "{code}/twice.py", "{inputs.image}", "{output}"]
code = ["tools/twice.py"]
"""
# "hang": starts a child of its own, writes down both processes' ids, and stays.
TOOL = """\
import os, subprocess, sys, time
output, text, mode = sys.argv[1:4]
if mode == "fail":
    print("no paint left")
    sys.exit("the brush broke")
if mode == "hang":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    with open(text, "w") as file:
        file.write(f"{os.getpid()} {child.pid}")
    time.sleep(600)
open(output, "w").write(text)
"""
TWICE = "import sys\nopen(sys.argv[2], 'wb').write(open(sys.argv[1], 'rb').read() * 2)\n"


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """a.txt → aa.txt; b.txt."""
    project = Home(tmp_path_factory.mktemp("api") / "user").repo()
    project.write("regen.toml", PROJECT.encode())
    project.write("tools/tool.py", TOOL.encode())
    project.write("tools/twice.py", TWICE.encode())
    project.git("add", "-A")
    project.regen("trust", "--yes")
    with regen_vcs.open(project.root, environ=project.env) as film:
        film.generate("a.txt", "command:tool", params={"text": "rain"})
        film.generate("aa.txt", "command:twice", inputs={"image": "a.txt"})
        film.generate("sub/b.txt", "command:tool", params={"text": "snow"})
        film.queue.clear()
    project.commit("a film")
    return project


@pytest.fixture
def repo(template, tmp_path):
    return copy_of(template, tmp_path)


@pytest.fixture
def film(repo):
    with regen_vcs.open(repo.root, environ=repo.env) as project:
        yield project


def states(film) -> dict[str, str]:
    return {each.path: each.state for each in film.status()}


def hang(film, repo, path: str = "long.txt") -> Path:
    """A recipe that never ends; the file in which its processes will say who they are."""
    mark = repo.user.base / f"{path}.pids"
    film.generate(path, "command:tool", params={"text": str(mark), "mode": "hang"}, run=False)
    return mark


def pids_in(mark: Path) -> list[int]:
    deadline = time.monotonic() + 30
    while not (mark.exists() and len(mark.read_text().split()) == 2):
        assert time.monotonic() < deadline, "it never began"
        time.sleep(0.02)
    return [int(each) for each in mark.read_text().split()]


def alive(pids: list[int]) -> list[int]:
    def runs(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    return [pid for pid in pids if runs(pid)]


# ---------------------------------------------------------------- opening


def test_importing_it_is_free():
    code = "import sys, regen_vcs; print(sorted(name for name in sys.modules if name.startswith('regen_vcs')))"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "['regen_vcs']\n"


def test_looking_and_syncing_load_no_schemas(repo):
    code = ("import sys, regen_vcs\nwith regen_vcs.open() as p: p.status(); p.plan(); p.graph(); p.affected(['a.txt']); p.sync()\n"
            "print([n for n in ('pydantic', 'numpy', 'jsonschema', 'click') if n in sys.modules])")
    assert repo.run(sys.executable, "-c", code).stdout == "[]\n"


def test_names():
    assert {"open", "Project", "RegenerationQueue", "RegenerationPriority", "RegenerationTask", "RegenerationError"} <= {*dir(regen_vcs)}
    assert "open" not in regen_vcs.__all__ and regen_vcs.open is not builtins.open
    with pytest.raises(AttributeError):
        regen_vcs.nonsense  # noqa: B018


def test_outside_of_a_repository_and_closed(tmp_path, repo):
    with pytest.raises(UsageError):
        regen_vcs.open(tmp_path, environ=repo.env | {"GIT_CEILING_DIRECTORIES": str(tmp_path)})
    film = regen_vcs.open(repo.path("sub/b.txt"), environ=repo.env)  # a file of it will do
    assert film.root == str(repo.root)
    film.close()
    film.close()
    with pytest.raises(UsageError, match="closed"):
        film.status()


def test_paths(film, repo, monkeypatch):
    monkeypatch.chdir(repo.path("sub"))  # paths are the root's all the same
    for name in ("sub/b.txt", "sub/b.txt.regen.json", repo.path("sub/b.txt"), Path("sub"), "s*"):
        assert [each.path for each in film.status([name])] == ["sub/b.txt"]
    assert [each.path for each in film.status("sub/b.txt")] == ["sub/b.txt"]
    with pytest.raises(UsageError):
        film.status(["nothing.txt"])
    with pytest.raises(UsageError, match="outside"):
        film.status(["/elsewhere.txt"])


# ---------------------------------------------------------------- looking and syncing


def test_status_sees_what_others_do(film, repo):
    assert states(film) == {"a.txt": "ok", "aa.txt": "ok", "sub/b.txt": "ok"}
    one = film.status(["a.txt"])[0]
    assert (one.generator, one.size, one.output) == ("command:tool", 4, read(repo, "a.txt").output.hash) and one.key
    repo.path("a.txt").unlink()
    repo.regen("set", "sub/b.txt", "text=hail")
    assert states(film) == {"a.txt": "missing", "aa.txt": "ok", "sub/b.txt": "stale"}
    repo.git("checkout", "-q", "--", ".")
    assert states(film) == {"a.txt": "ok", "aa.txt": "ok", "sub/b.txt": "ok"}


def test_plan_and_sync(film, repo):
    repo.path("a.txt").unlink()
    assert [(step.action, step.path) for step in film.plan().steps] == [("materialise", "a.txt")]
    assert not repo.path("a.txt").exists()
    seen = []
    report = film.sync(progress=lambda event: seen.append((event.action, event.path)))
    assert [step.path for step in report.done] == ["a.txt"] and not report.failed and report.missing is None
    assert seen == [("materialise", "a.txt")] and repo.path("a.txt").read_text() == "rain"


def test_sync_regenerates_what_is_nowhere(film, repo):
    repo.path("a.txt").unlink()
    repo.run("rm", "-rf", str(repo.user.cache), str(repo.user.keep / "v1" / "objects"))
    report = film.sync()
    assert [(each.path, each.verdict) for each in report.made] == [("a.txt", "restored")]


def test_sync_is_cancelled(film, repo):
    repo.path("a.txt").unlink()
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Interrupted):
        film.sync(cancel=cancel)
    assert film.sync().done


def test_show_explain_graph_affected(film):
    assert film.show("a.txt")["params"] == {"text": "rain", "mode": "write"}
    assert film.explain("a.txt")["state"] == "ok"
    graph = film.graph()
    assert graph.downstream(["a.txt"]) == ["aa.txt"] and graph.upstream(["aa.txt"]) == ["a.txt"]
    assert graph.nodes["aa.txt"].state == "ok" and graph.inputs_of("aa.txt")[0].name == "image"
    assert set(film.graph(["aa.txt"], up=True).nodes) == {"a.txt", "aa.txt"}
    assert [(each.path, each.direct) for each in film.affected(["a.txt"])] == [("aa.txt", True)]
    assert film.affected(since="HEAD") == []
    with pytest.raises(UsageError):
        film.affected()
    with pytest.raises(RegenerationError.__base__):
        film.show("nothing.txt")


# ---------------------------------------------------------------- recipes


def test_generate(film, repo):
    result = film.generate("new/c.txt", "command:tool", params={"text": "7"}, tags=["b", "a"], meta={"shot": "010"})
    assert (result.path, result.verdict, result.size, result.ok) == ("new/c.txt", "made", 1, True)
    recipe = read(repo, "new/c.txt")
    assert recipe.params["text"] == "7" and recipe.meta["tags"] == ["a", "b"] and recipe.meta["shot"] == "010"
    assert recipe.output.hash == result.hash


def test_values_are_values_and_texts_are_typed(film, repo):
    film.generate("t.png", "texture", params={"seed": 7, "width": 16, "height": 16}, run=False)
    film.generate("u.png", "texture", param_texts={"seed": "7", "width": "16", "height": "16"}, run=False)
    assert read(repo, "t.png").params == read(repo, "u.png").params
    with pytest.raises(InvalidError):
        film.generate("v.png", "texture", params={"seed": "seven"})
    assert not repo.path("v.png.regen.json").exists()


def test_generate_that_fails_raises_and_keeps_the_recipe(film, repo):
    with pytest.raises(RegenerationError, match="the brush broke") as caught:
        film.generate("c.txt", "command:tool", params={"mode": "fail"})
    assert caught.value.path == "c.txt" and caught.value.exit_code == 1 and caught.value.log
    assert states(film)["c.txt"] == "failed"
    with pytest.raises(UsageError):
        film.generate("d.txt", "command:tool", inputs={"image": "nothing.txt"})
    with pytest.raises(InvalidError, match="→"):
        film.generate("a.txt", "command:twice", inputs={"image": "aa.txt"})


def test_generate_untrusted(repo):
    repo.regen("trust", "--revoke")
    with regen_vcs.open(repo.root, environ=repo.env) as film:
        with pytest.raises(NotTrusted):
            film.generate("c.txt", "command:tool")
        error = film.regenerate(["a.txt"])[0].error
        assert isinstance(error, NotTrusted) and error.exit_code == 4


def test_set_accept_fetch(film, repo):
    assert film.set("a.txt", {"text": "hail"}) == ["params.text: 'rain' → 'hail'"]
    assert film.set("a.txt", {"text": "hail"}) == []
    repo.write("sub/b.txt", b"by hand")
    assert [(each.path, each.verdict) for each in film.accept(["sub"])] == [("sub/b.txt", "accepted")]
    assert read(repo, "sub/b.txt").output.size == 7
    repo.write("sub/b.txt", b"again")
    assert [each.verdict for each in film.fetch(["sub"])] == ["edited"]
    assert [each.verdict for each in film.fetch(["sub"], force=True)] == ["fetched"]
    assert repo.path("sub/b.txt").read_bytes() == b"by hand"


# ---------------------------------------------------------------- regenerating


def test_regenerate_chooses_as_the_command_does(film, repo):
    assert film.regenerate() == []
    film.set("sub/b.txt", {"text": "hail"})
    repo.path("a.txt").unlink()
    assert [*film.select(missing=True)] == ["a.txt"] and [*film.select(stale=True)] == ["sub/b.txt"]
    assert {*film.select()} == {"a.txt", "sub/b.txt"} and {*film.select(everything=True)} == {"a.txt", "aa.txt", "sub/b.txt"}
    assert {each.path: each.verdict for each in film.regenerate()} == {"a.txt": "restored", "sub/b.txt": "made"}
    with pytest.raises(UsageError):
        film.regenerate(["nothing.txt"])
    assert film.regenerate(["a.txt"], stale=True) == []


def test_named_is_made_again_unless_told_otherwise(film):
    again, cached = film.regenerate(["a.txt"])[0], film.regenerate(["a.txt"], force=False)[0]
    assert (again.verdict, again.reused) == ("restored", False) and (cached.verdict, cached.reused) == ("restored", True)


def test_dependents_follow_where_something_came_out_differently(film, repo):
    assert {each.path: each.verdict for each in film.regenerate(["a.txt"], with_dependents=True)} == {"a.txt": "restored", "aa.txt": "present"}
    film.set("a.txt", {"text": "hail"})
    results = film.regenerate(["a.txt"], with_dependents=True)
    assert [(each.path, each.verdict) for each in results] == [("a.txt", "made"), ("aa.txt", "made")]
    assert repo.path("aa.txt").read_text() == "hailhail"


def test_failures_are_results_and_stop_nothing_else(film):
    film.set("a.txt", {"mode": "fail"})
    film.set("sub/b.txt", {"text": "hail"})
    found = {each.path: each for each in film.regenerate(["a.txt", "sub/b.txt"], with_dependents=True)}
    assert found["sub/b.txt"].verdict == "made" and not found["a.txt"].ok
    assert isinstance(found["a.txt"].error, RegenerationError) and "the brush broke" in found["a.txt"].error.what
    assert "blocked" in found["aa.txt"].error.what


def test_progress_comes_in_the_callers_thread(film):
    events, here = [], threading.get_ident()
    results = film.regenerate(everything=True, progress=lambda event: events.append((threading.get_ident(), event)))
    assert {ident for ident, _ in events} == {here}
    ended = [event for _, event in events if event.result]
    assert [event.result for event in ended] == results
    assert [(event.finished, event.total) for event in ended] == [(1, 3), (2, 3), (3, 3)]


def test_make_yields_as_it_happens(film):
    chosen = film.select(everything=True)
    seen = [result.path for result in film.make(chosen)]
    assert sorted(seen) == ["a.txt", "aa.txt", "sub/b.txt"] and seen.index("a.txt") < seen.index("aa.txt")
    assert list(film.make([])) == []
    for _ in film.make(chosen):
        break  # leaving early is no error, and nothing keeps running
    assert not film.queue.active_tasks


# ---------------------------------------------------------------- cancelling


def test_cancel_from_another_thread(film, repo):
    marks = [hang(film, repo, "long.txt"), hang(film, repo, "longer.txt")]
    cancel, pids, ended = threading.Event(), [], []

    def stop() -> None:
        pids.extend(pids_in(marks[0]))
        ended.append(time.monotonic())
        cancel.set()

    thread = threading.Thread(target=stop)
    thread.start()
    results = film.regenerate(["long.txt", "longer.txt"], jobs=1, cancel=cancel)
    took = time.monotonic() - ended[0]
    thread.join()
    assert {each.path: each.verdict for each in results} == {"long.txt": "cancelled", "longer.txt": "cancelled"}
    assert took < 2.0 and len(pids) == 2 and alive(pids) == []
    assert len(film.queue) == 0 and not marks[1].exists()
    assert states(film)["long.txt"] == "pending"


def test_cancel_from_the_callback(film, repo):
    mark = hang(film, repo)
    cancel = threading.Event()

    def stop(event) -> None:
        if event.path == "a.txt" and event.result:
            cancel.set()

    results = film.regenerate(["a.txt", "long.txt"], jobs=2, progress=stop, cancel=cancel)
    assert {each.path: each.verdict for each in results} == {"a.txt": "restored", "long.txt": "cancelled"}
    assert not mark.exists() or alive(pids_in(mark)) == []


def test_what_a_callback_raises_comes_out_and_nothing_keeps_running(film, repo):
    mark = hang(film, repo)

    def spoil(event) -> None:
        if event.result:
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        film.regenerate(["a.txt", "long.txt"], jobs=2, progress=spoil)
    assert len(film.queue) == 0 and (not mark.exists() or alive(pids_in(mark)) == [])
    assert film.regenerate(["a.txt"])[0].ok


def test_generate_is_cancelled(film, repo):
    cancel = threading.Event()
    cancel.set()
    assert film.generate("c.txt", "command:tool", cancel=cancel).verdict == "cancelled"


# ---------------------------------------------------------------- threads


def test_a_project_in_two_threads_is_refused_and_two_projects_are_fine(film, repo):
    errors, done = [], []

    def other() -> None:
        try:
            film.status()
        except UsageError as error:
            errors.append(error)
        with regen_vcs.open(repo.root, environ=repo.env) as mine:
            done.extend(mine.regenerate(["sub/b.txt"]))

    for result in film.make(["a.txt"]):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(60)
        assert result.ok
    assert len(errors) == 1 and "thread" in errors[0].what
    assert [each.verdict for each in done] == ["restored"]
    thread = threading.Thread(target=lambda: done.append(film.status()))  # one after another is no harm
    thread.start()
    thread.join(60)
    assert len(done) == 2


# ---------------------------------------------------------------- the queue


def test_priorities_are_the_engines():
    assert RegenerationPriority.USER_REQUESTED == engine_queue.USER < RegenerationPriority.MISSING_FILE == engine_queue.MISSING
    assert RegenerationPriority.MISSING_FILE < RegenerationPriority.BACKGROUND_FILL == engine_queue.BACKGROUND


def test_looking_at_a_queue_makes_none(project):
    with regen_vcs.open(project.root, environ=project.env) as film:
        queue = film.queue
        assert queue.tasks() == [] and len(queue) == 0 and queue and queue.build_optimal_batch() == []
        assert not project.path(".git/regen/queue.sqlite").exists()
        assert queue.process_queue() == []


def test_add_task_changes_the_recipe_and_process_queue_makes_it(film, repo):
    queue = RegenerationQueue(film)
    task = queue.add_task("a.txt", params={"text": "hail"})
    assert (task.asset_id, task.state, task.priority, task.params["text"]) == ("a.txt", "queued", RegenerationPriority.USER_REQUESTED, "hail")
    assert task.is_open and states(film)["a.txt"] == "queued"
    done = queue.process_queue()
    assert [(each.asset_id, each.state, each.verdict) for each in done] == [("a.txt", "done", "proposed")]
    assert states(film)["a.txt"] == "proposed" and list(queue.completed_tasks) == ["a.txt"]
    assert len(queue) == 0 and queue.tasks(["queued"]) == []


def test_a_stale_asset_on_disk_is_made_when_the_user_asks(film):
    film.set("a.txt", {"text": "hail"})
    assert [task.asset_id for task in film.enqueue(["a.txt"], start=False)] == ["a.txt"]
    assert [each.verdict for each in film.queue.process_queue(accept_proposed=True)] == ["proposed"]
    assert states(film) == {"a.txt": "ok", "aa.txt": "stale", "sub/b.txt": "ok"}


def test_what_is_up_to_date_is_not_made_again(film):
    film.queue.add_task("a.txt")
    assert [each.verdict for each in film.queue.process_queue()] == ["present"]
    film.queue.add_task("a.txt", force=True)
    assert [each.verdict for each in film.queue.process_queue()] == ["restored"]


def test_low_priorities_are_for_what_is_missing(film, repo):
    repo.path("a.txt").unlink()
    assert film.queue.add_task("a.txt", priority=RegenerationPriority.BACKGROUND_FILL).priority.name == "BACKGROUND_FILL"
    assert [each.verdict for each in film.queue.process_queue()] == ["restored"]
    film.set("sub/b.txt", {"text": "hail"})
    with pytest.raises(UsageError, match="pending or stale"):
        film.queue.add_task("sub/b.txt", priority=RegenerationPriority.MISSING_FILE)
    with pytest.raises(RegenerationError.__base__, match="no recipe"):
        film.queue.add_task("nothing.txt")


def test_a_cycle_is_refused(film, repo):
    document = json.loads(repo.path("a.txt.regen.json").read_text())
    repo.write("a.txt.regen.json", json.dumps(document | {"inputs": {"image": "aa.txt"}}).encode())
    assert film.enqueue(["a.txt", "aa.txt"], start=False) == [] and len(film.queue) == 0
    with pytest.raises(RegenerationError, match=r"a\.txt → aa\.txt → a\.txt"):
        film.queue.add_task("a.txt")
    assert {each.path: type(each.error) for each in film.regenerate(["a.txt", "aa.txt"])} == {"a.txt": RegenerationError, "aa.txt": RegenerationError}
    assert film.graph().cycles == (("a.txt", "aa.txt", "a.txt"),)


def test_errors_are_handed_over(film):
    told = []
    film.set("sub/b.txt", {"mode": "fail"})
    queue = RegenerationQueue(film, handle_regeneration_error=lambda task, error: told.append((task, error)))
    queue.add_task("sub/b.txt")
    queue.add_task("a.txt", force=True)
    ended = {each.asset_id: each for each in queue.process_queue()}
    assert ended["sub/b.txt"].state == "failed" and "the brush broke" in ended["sub/b.txt"].reason and ended["a.txt"].state == "done"
    assert [(task.asset_id, task.state, type(error)) for task, error in told] == [("sub/b.txt", "failed", RegenerationError)]
    assert queue.retry() == 1 and [each.asset_id for each in queue.tasks(["queued"])] == ["sub/b.txt"]
    assert queue.cancel(["sub/b.txt"]) == 1 and queue.cancel() == 0
    assert queue.clear() >= 2 and queue.tasks() == []


def test_the_batch_is_in_the_order_of_work(film, repo):
    """The user's first; dependencies before what needs them; one generator after the other."""
    for number in range(3):
        film.generate(f"t{number}.png", "texture", params={"seed": number, "width": 16, "height": 16}, run=False)
        film.generate(f"c{number}.txt", "command:tool", params={"text": str(number)}, run=False)
    repo.path("sub/b.txt").unlink()
    queue = film.queue
    queue.add_task("sub/b.txt", priority=RegenerationPriority.BACKGROUND_FILL)
    film.set("a.txt", {"text": "hail"})
    film.enqueue(["aa.txt", "t0.png", "c0.txt", "t1.png", "c1.txt", "a.txt", "t2.png", "c2.txt"], start=False)
    batch = queue.build_optimal_batch()
    names = [task.asset_id for task in batch]
    assert names[-1] == "sub/b.txt" and names.index("a.txt") < names.index("aa.txt")
    groups = [task.group for task in batch[:-1]]
    assert sum(one != other for one, other in itertools.pairwise(groups)) == len(set(groups)) - 1
    assert next(task for task in batch if task.asset_id == "aa.txt").dependencies == ("a.txt",)
    assert [task.asset_id for task in queue.build_optimal_batch(limit=2)] == names[:2]
    assert len(queue) == 9
    ended = queue.process_queue(jobs=1, accept_proposed=True)
    assert all(task.state == "done" for task in ended)
    order = [task.asset_id for task in sorted(ended, key=lambda task: task.started)]
    assert order[-1] == "sub/b.txt" and order.index("a.txt") < order.index("aa.txt")


def test_prioritize_and_dependencies(film, repo):
    for name in ("a.txt", "aa.txt", "sub/b.txt"):
        repo.path(name).unlink()
    film.enqueue(["aa.txt", "a.txt"], priority=RegenerationPriority.BACKGROUND_FILL, start=False)
    film.enqueue(["sub/b.txt"], priority=RegenerationPriority.MISSING_FILE, start=False)
    assert film.queue.build_optimal_batch()[0].asset_id == "sub/b.txt"
    assert film.queue.prioritize(["aa.txt"], RegenerationPriority.USER_REQUESTED) == 2  # and what it waits for
    assert [task.asset_id for task in film.queue.build_optimal_batch()] == ["a.txt", "aa.txt", "sub/b.txt"]


@pytest.mark.parametrize("form", [
    lambda repo, task: "a.txt", lambda repo, task: ["a.txt"], lambda repo, task: [repo.path("a.txt")], lambda repo, task: task,
    lambda repo, task: ["a.txt.regen.json"], lambda repo, task: repo.path("a.txt"),
])  # fmt: skip
def test_a_task_is_named_as_an_asset_is_anywhere_else(film, repo, form):
    """A path alone was once taken for its letters, and a Path for nothing at all: without a word, nothing was cancelled."""
    film.set("a.txt", {"text": "hail"})
    task = film.queue.add_task("a.txt")
    assert film.queue.cancel(form(repo, task)) == 1
    assert [each.asset_id for each in film.queue.tasks("cancelled")] == ["a.txt"]
    assert film.queue.retry(form(repo, task)) == 1
    assert film.queue.prioritize(form(repo, task), RegenerationPriority.BACKGROUND_FILL) == 1


def test_process_queue_is_cancelled_and_the_rest_waits(film, repo):
    mark = hang(film, repo)
    film.enqueue(["long.txt"], start=False)
    cancel, pids = threading.Event(), []
    threading.Thread(target=lambda: (pids.extend(pids_in(mark)), cancel.set()), daemon=True).start()
    assert film.queue.process_queue(cancel=cancel) == []
    assert alive(pids) == [] and [task.state for task in film.queue.tasks()] == ["queued"]


def test_a_running_task_is_seen_followed_and_cancelled(film, repo):
    """A worker of another process makes it; this one looks on, and stops it."""
    mark = hang(film, repo)
    film.enqueue(["long.txt", "a.txt"], force=True, start=False)
    worker = subprocess.Popen([sys.executable, "-I", "-m", "regen_vcs", "worker", "--jobs", "2"], cwd=repo.root, env=repo.env,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        pids = pids_in(mark)
        assert "long.txt" in film.queue.active_tasks
        seen = []
        for task in film.queue.follow(interval=0.05):
            seen.append((task.asset_id, task.state))
            if task.asset_id == "long.txt" and task.state == "running":
                film.queue.cancel([task])
        assert ("long.txt", "cancelled") in seen
        deadline = time.monotonic() + 2
        while alive(pids) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert alive(pids) == []
    finally:
        worker.terminate()
        worker.wait(30)


def test_the_api_and_the_command_line_are_one(film, repo):
    film.enqueue(["a.txt"], force=True, start=False)
    jobs = json.loads(repo.regen("queue", "--json").stdout)["jobs"]
    assert [(each["path"], each["state"], each["priority"]) for each in jobs] == [("a.txt", "queued", "user")]
    repo.regen("worker")
    assert [task.state for task in film.queue.tasks()] == ["done"]


# ---------------------------------------------------------------- the engine's side


def test_tick_ends_the_engines_work_and_leaves_the_rest_in_the_queue(film):
    """As ^C does: only a withdrawal takes the rest away."""
    works = make_assets(film.workspace, ["a.txt", "sub/b.txt"], by_user=True, force=True, workers=1, tick=_Stopper())
    with pytest.raises(KeyboardInterrupt):
        list(works)
    assert len(film.queue) == 2
    assert os.path.exists(film.root)


class _Stopper:
    def __call__(self) -> None:
        raise KeyboardInterrupt
