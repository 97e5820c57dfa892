"""Paid generators: never by themselves, within the budget, and what they cost is kept."""

from __future__ import annotations

import json

import pytest

from regen_vcs.engine.take_filing import Order
from regen_vcs.engine.worker import Budget

SCRIPT = b"import sys\nopen(sys.argv[1], 'w').write('bought ' + sys.argv[2])\n"

TABLE = """
[generators.cloud]
uses = "command"
argv = ["python3", "{code}/cloud.py", "{output}", "{params.n}"]
code = ["tools/cloud.py"]
paid = true
%s
[generators.cloud.params]
n = { type = "integer" }
"""


def make_project(project, cost: str = "cost = 0.5", count: int = 3):
    project.write("tools/cloud.py", SCRIPT)
    project.write("regen.toml", (project.path("regen.toml").read_text() + TABLE % cost).encode())
    project.git("add", "-A")
    project.regen("trust", "--yes")
    for n in range(count):
        project.regen("generate", f"{n}.txt", "--generator", "command:cloud", "--param", f"n={n}", "--no-run")
    project.commit("cloud")
    return project


def queue_of(project) -> dict[str, dict]:
    return {job["path"]: job for job in json.loads(project.regen("queue", "--json").stdout)["jobs"]}


def test_two_are_bought_and_the_third_is_refused(project):
    make_project(project)
    project.env["REGEN_BUDGET"] = "1.00"
    done = project.regen("regenerate", check=False)
    assert done.returncode == 1
    assert "over the budget of $1.00 ($1.00 of it spent; it costs $0.50)" in done.stderr
    states = sorted(project.status().values())
    assert states == ["failed", "ok", "ok"]
    jobs = queue_of(project)
    assert sorted(job["cost"] or 0.0 for job in jobs.values()) == [0.0, 0.5, 0.5]
    assert all(job["paid"] for job in jobs.values())
    assert "$1.00 spent" in project.regen("queue").stdout


def test_the_cost_stands_in_the_take(project):
    make_project(project, count=1)
    project.regen("regenerate")
    takes = json.loads(project.regen("show", "0.txt", "--json").stdout)["takes"]
    assert [take["cost"] for take in takes] == [0.5]


def test_an_unknown_cost_is_refused_where_there_is_a_budget(project):
    make_project(project, cost="", count=1)
    project.env["REGEN_BUDGET"] = "100"
    done = project.regen("regenerate", check=False)
    assert done.returncode == 1 and "no `cost` to count against the budget" in done.stderr
    del project.env["REGEN_BUDGET"]
    project.regen("regenerate")
    assert project.status() == {"0.txt": "ok"}


def test_no_checkout_and_no_worker_for_one_buys_anything(project, home):
    """Accepted on both branches, and its bytes are nowhere: the priced line says so, and nothing is run."""
    make_project(project, count=2)
    project.regen("regenerate")
    project.commit("bought")
    project.git("branch", "bought")
    project.git("switch", "-q", "--detach", "HEAD~1")
    for folder in (home.keep / "v1/objects", home.cache / "v1/objects"):
        for path in folder.rglob("*"):
            if path.is_file():
                path.unlink()
    for path in (project.root / ".git" / "regen").rglob("spare/*"):
        if path.is_file():
            path.unlink()
    project.env["REGEN_CHECKOUT_BACKGROUND"] = "true"
    done = project.git("switch", "bought")
    assert "2 assets missing: 2 paid ($1.00, not run); run: regen-vcs regenerate --missing" in done.stderr
    assert set(project.status().values()) == {"missing"}
    assert not [job for job in queue_of(project).values() if job["state"] in ("queued", "running")]
    synced = project.regen("sync")
    assert "2 paid ($1.00, not run)" in synced.stderr + synced.stdout
    assert set(project.status().values()) == {"missing"}
    plan = json.loads(project.regen("sync", "--dry-run", "--json").stdout)
    assert [step["cost"] for step in plan["steps"]] == [0.5, 0.5]
    project.regen("regenerate", "--missing")
    assert set(project.status().values()) == {"ok"}


def test_what_the_user_queues_is_bought_by_a_worker_within_its_budget(project):
    make_project(project)
    project.env["REGEN_BUDGET"] = "0.50"
    project.regen("regenerate", "--queue")
    project.regen("worker", check=False)
    states = sorted(job["state"] for job in queue_of(project).values())
    assert states == ["done", "failed", "failed"]


def test_nobody_but_the_user_queues_what_is_paid(project):
    """A job that a checkout left there before its generator became a paid one."""
    make_project(project, count=1)
    project.regen("regenerate", "--queue")
    project.regen("queue", "prioritize", "0.txt", "--priority", "missing")
    done = project.regen("worker", check=False)
    assert done.returncode == 1 and "paid" in done.stderr + done.stdout
    assert not project.path("0.txt").exists()


class FakeTake:
    def __init__(self, order: Order, reused: bool, record: dict):
        self.order, self.reused, self.record = order, reused, record


def order(**table) -> Order:
    return Order("a.txt", None, "0" * 64, {}, {}, {"paid": True, **table}, "")


def test_amounts_that_no_double_holds():
    budget = Budget(0.3)
    assert [budget.refusal(order(cost=0.1)) for _ in range(3)] == [None, None, None]
    assert budget.refusal(order(cost=0.1)) is not None


def test_what_was_there_already_costs_nothing_and_what_cost_more_counts():
    budget = Budget(1.0)
    mine = order(cost=0.5)
    assert budget.refusal(mine) is None
    budget.settle(FakeTake(mine, True, {"cost": 0.5}))
    assert budget.spent == 0.0
    assert budget.refusal(mine) is None
    budget.settle(FakeTake(mine, False, {"cost": 0.75}))
    assert budget.spent == 0.75
    assert "over the budget" in budget.refusal(mine)


@pytest.mark.parametrize("table", [{"paid": False, "cost": 5.0}, {"paid": False}])
def test_what_is_free_is_not_counted(table):
    assert Budget(1.0).refusal(order(**table)) is None
