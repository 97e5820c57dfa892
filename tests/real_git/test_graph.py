"""What is made from what: `graph`, `affected`, early cutoff, cycles."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest

from tests.conftest import Home
from tests.real_git.copies import copy_of
from tests.real_git.recipes import read

PROJECT = """\
[generators.join]
uses = "command"
argv = ["python3", "{code}/join.py", "{output}", "{params.text}", "{params.note}"]
code = ["tools/join.py"]
[generators.join.params]
text = { type = "string", default = "" }
note = { type = "string", default = "" }

[generators.twice]
uses = "command"
argv = ["python3", "{code}/twice.py", "{inputs.image}", "{output}"]
code = ["tools/twice.py"]
"""
# What is made does not depend on the note: another recipe, the same bytes.
JOIN = "import sys\nopen(sys.argv[1], 'w').write(sys.argv[2])\n"
TWICE = """\
import sys
data = open(sys.argv[1], "rb").read()
if data.startswith(b"bad"):
    sys.exit("this plate is bad")
open(sys.argv[2], "wb").write(data * 2)
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """plate.txt → big.dat → huge.dat → giant.dat, and name.txt → names.txt; all made and committed."""
    project = Home(tmp_path_factory.mktemp("graph") / "user").repo()
    project.write("regen.toml", PROJECT.encode())
    project.write("tools/join.py", JOIN.encode())
    project.write("tools/twice.py", TWICE.encode())
    project.write("plate.txt", b"plate one\n")
    project.git("add", "-A")
    project.regen("trust", "--yes")
    project.regen("generate", "shots/big.dat", "-g", "command:twice", "-i", "image=plate.txt")
    project.regen("generate", "shots/huge.dat", "-g", "command:twice", "-i", "image=shots/big.dat")
    project.regen("generate", "shots/giant.dat", "-g", "command:twice", "-i", "image=shots/huge.dat")
    project.regen("generate", "name.txt", "-g", "command:join", "-p", "text=rain")
    project.regen("generate", "names.txt", "-g", "command:twice", "-i", "image=name.txt")
    project.commit("a film")
    return project


@pytest.fixture
def film(template, tmp_path):
    return copy_of(template, tmp_path)


def graph(film, *argv: str) -> dict:
    return json.loads(film.regen("graph", "--json", *argv).stdout)


def affected(film, *argv: str) -> dict[str, bool]:
    """{asset: whether it is directly affected}."""
    document = json.loads(film.regen("affected", "--json", *argv).stdout)
    return {each["path"]: each["direct"] for each in document["affected"]}


# ---------------------------------------------------------------- the graph


def test_the_tree(film):
    assert film.regen("graph").stdout.splitlines() == [
        "ok        names.txt",
        "ok        └─ image: name.txt",
        "ok        shots/giant.dat",
        "ok        └─ image: shots/huge.dat",
        "ok           └─ image: shots/big.dat",
        "file            └─ image: plate.txt",
        "5 assets (5 ok), 1 file, 4 dependencies",
    ]


def test_states_are_those_of_status(film):
    film.write("plate.txt", b"plate two\n")
    film.path("names.txt").unlink()
    found = {each["path"]: each["state"] for each in graph(film)["nodes"]}
    assert found == {**film.status(), "plate.txt": "edited"}
    assert found["shots/big.dat"] == "stale" and found["names.txt"] == "missing"


def test_up_down_and_around(film):
    def paths(*argv: str) -> set[str]:
        return {each["path"].removeprefix("shots/") for each in graph(film, *argv)["nodes"]}

    assert paths("shots/huge.dat") == {"plate.txt", "big.dat", "huge.dat", "giant.dat"}
    assert paths("shots/huge.dat", "--up") == {"plate.txt", "big.dat", "huge.dat"}
    assert paths("shots/huge.dat", "--down") == {"huge.dat", "giant.dat"}
    assert paths("plate.txt", "--down") == {"plate.txt", "big.dat", "huge.dat", "giant.dat"}
    assert paths("name*") == {"name.txt", "names.txt"}
    assert "plate.txt" not in film.regen("graph", cwd=film.path("shots")).stderr
    assert film.regen("graph", "big.dat", "--up", cwd=film.path("shots")).stdout.startswith("ok        shots/big.dat\n")
    assert film.regen("graph", "nothing.png", check=False).returncode == 2


def test_down_grows_from_the_sources(film):
    lines = film.regen("graph", "plate.txt", "--down").stdout.splitlines()
    assert [line.split()[-1] for line in lines[:-1]] == ["plate.txt", "shots/big.dat", "shots/huge.dat", "shots/giant.dat"]


def test_what_was_shown_is_not_shown_again(film):
    """A diamond over and over: 2^20 ways through it, 40 lines."""
    for level in range(21):
        inputs = {"left": f"d{level - 1}.png", "right": f"d{level - 1}.png"} if level else {}
        document = {"regen": 1, "generator": "texture", "params": {}, "inputs": inputs}
        film.write(f"d{level}.png.regen.json", json.dumps(document).encode())
    film.git("add", "-A")
    lines = film.regen("graph", "d20.png").stdout.splitlines()
    assert len(lines) == 1 + 40 + 1
    assert sum("(see above)" in line for line in lines) == 19


def test_two_hundred_assets_are_a_page_of_trees(project):
    for number in range(200):
        project.write(f"plates/{number:03}.wav", bytes([number]))
    project.regen("add", "plates")
    document = {"regen": 1, "generator": "texture", "params": {}, "inputs": {f"{n:03}": f"plates/{n:03}.wav" for n in range(200)}}
    project.write("comp.png.regen.json", json.dumps(document).encode())
    project.git("add", "-A")
    lines = project.regen("graph").stdout.splitlines()
    assert lines[0] == "pending   comp.png  (never made: regen-vcs regenerate)"
    assert lines[1] == "ok        ├─ 000: plates/000.wav" and lines[200] == "ok        └─ 199: plates/199.wav"
    assert lines[201:] == ["201 assets (200 ok, 1 pending), 200 dependencies"]


def test_an_empty_repository(project):
    assert project.regen("graph").stdout == "no assets yet: regen-vcs generate, or regen-vcs add\n"
    assert graph(project) == {"nodes": [], "edges": [], "cycles": []}
    assert "digraph" in project.regen("graph", "--dot").stdout


# ---------------------------------------------------------------- DOT


_NODE = re.compile(r'  (n\d+) \[label="((?:[^"\\]|\\.)*)"((?:, \w+=(?:\w+|"(?:[^"\\]|\\.)*"))*)\];')
_EDGE = re.compile(r'  (n\d+) -> (n\d+) \[label="((?:[^"\\]|\\.)*)"(?:, color=red)?\];')


def parsed(dot: str) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """({label: its other attributes}, [(from label, to label)]); every line but the frame's is one of these."""
    nodes, edges, names = {}, [], {}
    for line in dot.splitlines()[3:-1]:
        if found := _NODE.fullmatch(line):
            names[found[1]] = found[2]
            nodes[found[2]] = found[3]
        else:
            found = _EDGE.fullmatch(line)
            assert found, line
            edges.append((names[found[1]], names[found[2]]))
    return nodes, edges


def test_dot(film):
    film.regen("set", "name.txt", "text=snow")
    nodes, edges = parsed(film.regen("graph", "--dot").stdout)
    assert ("plate.txt", "shots/big.dat") in edges and ("name.txt\\nstale", "names.txt") in edges
    assert "shape=note" in nodes["plate.txt"] and "shape" not in nodes["shots/big.dat"]
    assert nodes["name.txt\\nstale"].split("fillcolor=")[1] != nodes["names.txt"].split("fillcolor=")[1]
    assert film.regen("graph", "--dot", "--json", check=False).returncode == 2


HOSTILE = ['qu"ote];x[label="y.wav', "back\\slash\\.wav", "line\nbreak.wav", "\x1b[31mred.wav", "<b>html</b>.wav", "n0 -> n1.wav", "ünï.wav"]


@pytest.mark.parametrize("form", ["tree", "dot", "json"])
def test_hostile_names(project, form):
    for name in HOSTILE:
        if "\\" not in name:  # no asset may have one
            project.write(name, name.encode())
    project.regen("add", ".")
    names = [name for name in HOSTILE if "\\" not in name]
    document = {"regen": 1, "generator": "texture", "params": {}, "inputs": {f"in\x1b{n}\"\\": each for n, each in enumerate(names)}}
    project.write("comp.png.regen.json", json.dumps(document).encode())
    project.git("add", "-A")
    out = project.regen("graph", *(["--" + form] if form != "tree" else [])).stdout
    assert "\x1b" not in out
    if form == "json":
        assert {each["path"] for each in json.loads(out)["nodes"]} == {*names, "comp.png"}
    elif form == "dot":
        nodes, edges = parsed(out)
        assert len(nodes) == len(names) + 1 and len(edges) == len(names)
    else:
        assert len(out.splitlines()) == len(names) + 2


@pytest.mark.needs("dot")
def test_graphviz_takes_it(film):
    film.write('a"b.wav', b"x")
    film.regen("add", 'a"b.wav')
    dot = film.regen("graph", "--dot").stdout
    done = subprocess.run([shutil.which("dot"), "-Tsvg"], input=dot, capture_output=True, text=True, timeout=60, check=True)
    assert "a&quot;b.wav" in done.stdout


# ---------------------------------------------------------------- affected


def test_affected_by_a_plain_input(film):
    assert affected(film, "plate.txt") == {"shots/big.dat": True, "shots/huge.dat": False, "shots/giant.dat": False}


def test_affected_by_an_asset_and_by_its_recipe(film):
    assert affected(film, "shots/huge.dat") == {"shots/giant.dat": True}
    assert affected(film, "shots/huge.dat.regen.json") == {"shots/huge.dat": True, "shots/giant.dat": False}


@pytest.mark.parametrize("argument", ["tools/join.py", "command:join"])
def test_affected_by_code_and_tables(film, argument):
    assert affected(film, argument) == {"name.txt": True, "names.txt": False}


def test_affected_by_folders_and_globs(film):
    twice = {"names.txt", "shots/big.dat", "shots/huge.dat", "shots/giant.dat"}
    assert affected(film, "tools").keys() == twice | {"name.txt"}
    assert affected(film, "tools/tw*").keys() == twice
    assert affected(film, "regen.toml").keys() == twice | {"name.txt"}


def test_affected_by_nothing(film):
    film.write("notes.txt", b"x")
    assert film.regen("affected", "notes.txt").stdout == "no asset is affected\n"
    assert film.regen("affected", "nosuch.txt", check=False).returncode == 2
    assert film.regen("affected", check=False).returncode == 2
    assert film.regen("affected", "plate.txt", "--since", "HEAD", check=False).returncode == 2
    assert "nosuch" in film.regen("affected", "--since", "nosuch", check=False).stderr


def test_affected_says_why(film):
    out = film.regen("affected", "plate.txt").stdout.splitlines()
    assert out[0] == "direct    shots/big.dat  (input image: plate.txt)"
    assert out[1] == "further   shots/huge.dat  (made from shots/big.dat)"
    assert out[-1] == "3 assets affected, 2 of them only if what they are made from comes out differently"


def test_since_a_revision(film):
    assert affected(film, "--since", "HEAD") == {}
    film.git("switch", "-qc", "branch")
    film.write("plate.txt", b"plate two\n")
    film.commit("another plate")
    everything = {"shots/big.dat": True, "shots/huge.dat": False, "shots/giant.dat": False}
    assert affected(film, "--since", "main") == everything
    film.regen("regenerate", "shots/big.dat")  # another result: what is made from it is certainly stale
    assert affected(film, "--since", "main") == {**everything, "shots/huge.dat": True}


def test_since_knows_what_cannot_matter(film):
    """Notes, whitespace in regen.toml, a longer timeout, files nobody reads: nothing is affected."""
    path = film.path("name.txt.regen.json")
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"meta": {"note": "new"}}))
    film.write("regen.toml", PROJECT.replace('uses = "command"', 'timeout = "3m"\nuses  =  "command"').encode())
    film.write("notes.txt", b"x")
    assert affected(film, "--since", "HEAD") == {}
    film.write("regen.toml", PROJECT.replace('"{params.note}"]', '"{params.note}", "more"]').encode())
    assert affected(film, "--since", "HEAD") == {"name.txt": True, "names.txt": False}


def test_since_new_and_removed_recipes(film):
    film.regen("rm", "name.txt", "--force")
    film.regen("generate", "new.txt", "-g", "command:join", "-p", "text=x")
    assert affected(film, "--since", "HEAD") == {"names.txt": True, "new.txt": True}


def test_since_an_early_cutoff(film):
    """Made again with the same bytes: nothing follows from it."""
    film.regen("set", "name.txt", "note=a remark")
    assert affected(film, "--since", "HEAD") == {"name.txt": True, "names.txt": False}
    film.regen("regenerate", "name.txt")
    assert affected(film, "--since", "HEAD") == {"name.txt": True}


# ---------------------------------------------------------------- early cutoff, and the cascade


def test_the_same_bytes_upstream_leave_downstream_alone(film):
    before = read(film, "name.txt").output
    film.regen("set", "name.txt", "note=a remark")
    assert film.status()["name.txt"] == "stale"
    film.regen("regenerate", "name.txt")
    after = read(film, "name.txt").output
    assert after.hash == before.hash and after.key != before.key
    assert film.status() == dict.fromkeys(film.status(), "ok")


def test_other_bytes_upstream_make_downstream_stale(film):
    film.regen("set", "name.txt", "text=snow")
    film.regen("regenerate", "name.txt")
    assert {path for path, state in film.status().items() if state != "ok"} == {"names.txt"}
    assert film.status()["names.txt"] == "stale"


def test_the_cascade_is_only_by_the_users_word(film):
    film.write("plate.txt", b"plate two\n")
    film.git("add", "plate.txt")
    film.regen("regenerate", "shots/big.dat")
    assert film.path("shots/huge.dat").read_bytes() == b"plate one\n" * 4
    film.regen("regenerate", "shots/big.dat", "--with-dependents")
    assert film.path("shots/giant.dat").read_bytes() == b"plate two\n" * 8
    assert film.status() == dict.fromkeys(film.status(), "ok")


def test_the_cascade_ends_where_the_same_bytes_come_out(film):
    film.regen("set", "name.txt", "note=a remark")
    out = film.regen("regenerate", "name.txt", "--with-dependents").stdout
    assert "kept     names.txt" in out and "made     name.txt" in out
    jobs = {each["path"]: each["verdict"] for each in json.loads(film.regen("queue", "--json", "--all").stdout)["jobs"]}
    assert jobs["name.txt"] == "made" and jobs["names.txt"] == "present"


def test_a_failure_upstream_stops_what_follows(film):
    film.write("plate.txt", b"bad plate\n")
    film.git("add", "plate.txt")
    done = film.regen("regenerate", "shots/big.dat", "--with-dependents", check=False)
    assert done.returncode == 1 and "this plate is bad" in done.stderr and "blocked" in done.stderr
    assert film.path("shots/giant.dat").read_bytes() == b"plate one\n" * 8


# ---------------------------------------------------------------- cycles


def point(film, asset: str, target: str) -> None:
    """Write an input by hand, as a merge or an editor would."""
    path = film.path(f"{asset}.regen.json")
    document = json.loads(path.read_text())
    document["inputs"] = {"image": target}
    path.write_text(json.dumps(document))


def test_cycles_are_refused_with_the_cycle_shown(film):
    for argv in (("set", "shots/big.dat", "--input", "image=shots/giant.dat"),
                 ("generate", "shots/big.dat", "-g", "command:twice", "-i", "image=shots/giant.dat")):
        done = film.regen(*argv, check=False)
        assert done.returncode == 3
        assert "shots/big.dat → shots/giant.dat → shots/huge.dat → shots/big.dat" in done.stderr
    assert film.git("status", "--porcelain").stdout == ""


def test_a_cycle_written_by_hand(film):
    point(film, "shots/big.dat", "giant.dat")
    done = film.regen("graph", check=False)
    assert done.returncode == 3
    assert done.stdout.count("made from itself") == 1 and "names.txt" in done.stdout
    assert "shots/big.dat ← shots/giant.dat ← shots/huge.dat ← shots/big.dat" in done.stderr
    document = json.loads(film.regen("graph", "--json", check=False).stdout)
    assert document["cycles"] == [["shots/big.dat", "shots/giant.dat", "shots/huge.dat", "shots/big.dat"]]
    assert film.regen("graph", "--dot", check=False).stdout.count("color=red") == 3
    assert film.regen("graph", "names.txt").returncode == 0  # none of its own
    made = film.regen("regenerate", "shots/huge.dat", check=False)
    assert made.returncode == 1 and "shots/huge.dat → shots/big.dat → shots/giant.dat → shots/huge.dat" in made.stderr
    film.git("add", "shots/big.dat.regen.json")
    assert film.regen("check", check=False).returncode == 3
    film.git("add", "shots/big.dat.regen.json")
    assert film.regen("check", check=False).returncode == 3
    assert film.regen("affected", "shots/huge.dat").returncode == 0


def test_itself(film):
    point(film, "name.txt", "name.txt")
    done = film.regen("graph", "name.txt", check=False)
    assert done.returncode == 3 and "name.txt ← name.txt" in done.stderr
