"""The examples of docs/capture.md run, one after another, and the example tool does what its page says."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "capture.md").read_text(encoding="utf-8"), re.S)
TOOL = str(ROOT / "examples" / "capture" / "title_card.py")


def test_the_page_runs(project):
    """As a file of its own, so that annotations and names are as a reader would have them."""
    script = project.user.base / "page.py"
    script.write_text("\n".join(BLOCKS))
    done = project.run(sys.executable, str(script))
    assert "cinematographer False" in done.stdout
    assert len(project.status()) == 9
    assert set(project.status().values()) == {"ok"}
    document = json.loads(project.path("shots/010/sky.png.regen.json").read_text())
    assert document["params"] == {"octaves": 4, "seed": 7}
    assert json.loads(project.path("shots/050/sky.png.regen.json").read_text())["params"] == {"prompt": "a storm"}
    project.commit("the page")


def test_the_example_tool(project):
    project.run(sys.executable, TOOL, "shots/010/title.png", "Act I", "--agent", "art-director", "--task", "T-12")
    first = project.path("shots/010/title.png").read_bytes()
    project.commit("title")
    project.run(sys.executable, TOOL, "title.png", "--revise", "--size", "96", cwd=project.path("shots/010"))
    document = json.loads(project.path("shots/010/title.png.regen.json").read_text())
    assert document["params"] == {"ink": "#ffffff", "paper": "#101820", "size": 96, "text": "Act I"}
    assert project.path("shots/010/title.png").read_bytes() != first
    project.git("checkout", "-q", "--", "shots/010/title.png.regen.json")
    assert project.path("shots/010/title.png").read_bytes() == first
    done = project.run(sys.executable, TOOL, "nothing.png", "--revise", check=False)
    assert (done.returncode, "there is no recipe" in done.stderr) == (1, True)


def test_a_revised_card_keeps_its_plate(project):
    project.run(sys.executable, TOOL, "plates/a.png", "plate")
    project.run(sys.executable, TOOL, "title.png", "Act I", "--plate", "plates/a.png")
    project.run(sys.executable, TOOL, "title.png", "--revise", "--size", "20")
    document = json.loads(project.path("title.png.regen.json").read_text())
    assert document["inputs"] == {"plate": "plates/a.png"}
