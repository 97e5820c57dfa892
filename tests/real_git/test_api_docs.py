"""The examples of docs/api.md run, one after another."""

from __future__ import annotations

import re
import sys
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.S)


def test_the_page_runs(project):
    script = project.user.base / "page.py"
    script.write_text("\n".join(BLOCKS))
    done = project.run(sys.executable, str(script))
    lines = done.stdout.splitlines()
    assert lines[0].startswith("made shots/010/sky.png ")
    assert lines[1] == "[('shots/010/sky.png', 'ok')]"
    assert "['params.seed: 42 → 43']" in lines
    assert any(re.fullmatch(r"shots/010/sky\.png made \d+\.\d s", line) for line in lines)
    assert any("'cancelled')" in line and "'restored')" in line for line in lines)
    assert "shots/010/glow.png True ('input base: shots/010/sky.png',)" in lines
    assert "queued 44 ()" in lines
    assert any(line.startswith("shots/010/sky.png done proposed ") for line in lines)
    assert any("widht" in line and "|" in line for line in lines)
    assert project.path("graph.dot").read_text().startswith("digraph")
    assert project.status() == {"shots/010/sky.png": "ok", "shots/010/glow.png": "stale"}


def test_every_method_is_told_of():
    from regen_vcs.api import Project, RegenerationQueue

    for kind in (Project, RegenerationQueue):
        public = {name for name in vars(kind) if not name.startswith("_")} - {"close", "workspace", "root", "affected_by", "add_tasks"}
        told = {name for name in public if re.search(rf"\b{name}\b", PAGE)}
        assert told == public
