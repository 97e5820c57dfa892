"""`export`: all recipes as one small file, the same bytes for the same repository, and nothing in it that is not asked for."""

from __future__ import annotations

import json
import lzma

import pytest
from blake3 import blake3

from regen_vcs.engine.export_file import MAGIC, ExportFile, export_bytes
from regen_vcs.errors import CorruptionError, InvalidError, NewerFormat
from regen_vcs.model.canonical import canonical_bytes
from regen_vcs.model.export_manifest import ExportManifest, build_manifest, manifest_line, parse_manifest_line
from tests.conftest import Home
from tests.real_git.copies import copy_of
from tests.real_git.recipes import TEXTURE, generated, source, write

PROJECT = """\
[generators.twice]
uses = "command"
argv = ["python3", "{code}/twice.py", "{inputs.image}", "{output}"]
code = ["tools/twice.py"]
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Two textures, one of them made from the other, a script's work on a plate, a source asset; and a second branch."""
    project = Home(tmp_path_factory.mktemp("film") / "user").repo()
    project.write("regen.toml", PROJECT.encode())
    project.write("tools/twice.py", b"import sys\nopen(sys.argv[2], 'wb').write(open(sys.argv[1], 'rb').read() * 2)\n")
    project.write("plate.txt", b"plate one\n")
    project.write("plates/scan.dat", bytes(range(256)) * 8)
    project.write("source.png", b"somebody's own bytes")
    project.git("add", "regen.toml", "tools", "plate.txt", "plates")
    project.regen("trust", "--yes")
    small = ("--generator", "texture", "--param", "width=16", "--param", "height=16")
    project.regen("generate", "sky.png", *small)
    project.regen("generate", "shots/010/glow.png", *small, "--input", "base=sky.png")
    project.regen("generate", "shots/020/big.dat", "--generator", "command:twice", "--input", "image=plate.txt")
    project.regen("generate", "shots/020/scan.dat", "--generator", "command:twice", "--input", "image=plates/scan.dat")
    project.regen("add", "source.png")
    project.commit("a film")
    project.git("switch", "-qc", "two")
    project.regen("set", "sky.png", "seed=5")
    project.git("commit", "-qam", "another sky", "--no-verify")
    project.git("switch", "-q", "main")
    return project


@pytest.fixture
def film(template, tmp_path):
    return copy_of(template, tmp_path)


ASSETS = ["shots/010/glow.png", "shots/020/big.dat", "shots/020/scan.dat", "sky.png", "source.png"]


def export(project, *argv: str, name: str = "film.regen-export"):
    target = project.user.base / name
    done = project.regen("export", str(target), *argv)
    return target, done


def opened(path) -> ExportFile:
    return ExportFile(path.read_bytes(), str(path))


def contents(path) -> dict[str, bytes]:
    """{path of a file: bytes} of what an export holds of the worktree."""
    found = opened(path)
    objects = list(found.objects())
    held = {f"{asset}.regen.json": objects[number] for asset, number in found.manifest.sidecars}
    held |= {name: objects[number] for name, number in found.manifest.files}
    return held | ({"regen.toml": objects[found.manifest.project]} if found.manifest.project is not None else {})


def test_it_holds_every_recipe_and_the_text_they_need(film):
    target, done = export(film)
    held = contents(target)
    assert sorted(held) == sorted([*(f"{path}.regen.json" for path in ASSETS), "plate.txt", "regen.toml", "tools/twice.py"])
    assert all(film.path(name).read_bytes() == data for name, data in held.items())
    assert "plates/scan.dat: is no text" in done.stderr
    assert "5 recipes, 2 files they need" in done.stdout
    assert film.git("status", "--porcelain").stdout == ""


def test_the_same_repository_gives_the_same_bytes(film):
    first, _ = export(film, "--all-refs", name="1.regen-export")
    other = film.root.parent / "another place"
    film.root.rename(other)
    film.root = other
    film.regen("status")
    second, _ = export(film, "--all-refs", name="2.regen-export")
    assert first.read_bytes() == second.read_bytes()
    third, _ = export(film, name="3.regen-export")
    film.regen("set", "sky.png", "seed=9")
    fourth, _ = export(film, name="4.regen-export")
    assert first.read_bytes() != third.read_bytes() != fourth.read_bytes()


def test_json_says_what_is_in_it(film):
    target = film.user.base / "film.regen-export"
    told = json.loads(film.regen("export", str(target), "--all-refs", "--json").stdout)
    assert told["recipes"] == ASSETS and told["files"] == ["plate.txt", "tools/twice.py"]
    assert told["size"] == target.stat().st_size and told["file"] == str(target)
    assert told["refs"] == {"refs/heads/main": 5, "refs/heads/two": 5}
    assert [each["path"] for each in told["left_out"]] == ["plates/scan.dat"] and told["invalid"] == []
    assert len(opened(target).manifest.versions) == 6  # the sky of `two` is the only other one


def test_a_part_of_it(film):
    target, _ = export(film, "shots/010")
    assert sorted(contents(target)) == ["regen.toml", "shots/010/glow.png.regen.json", "tools/twice.py"]
    missed = film.regen("export", str(target), "no/such", check=False)
    assert missed.returncode == 2 and "no asset matches" in missed.stderr


def test_where_it_goes(film):
    film.regen("export", cwd=film.path("shots"))
    assert opened(film.path("shots/film.regen-export")).manifest.sidecars
    film.write("precious.txt", b"mine")
    refused = film.regen("export", "precious.txt", check=False)
    assert refused.returncode == 2 and "is no export" in refused.stderr
    assert film.path("precious.txt").read_bytes() == b"mine"
    film.regen("export", "precious.txt", "--force")
    film.regen("export", "precious.txt")  # an export is replaced by the next
    assert opened(film.path("precious.txt")).manifest.sidecars
    missing = film.regen("export", "no/such/folder/x.regen-export", check=False)
    assert missing.returncode == 1 and "Traceback" not in missing.stderr


def test_what_sparse_checkout_leaves_out_and_what_git_does_not_know_yet_are_in_it(film):
    film.write("new.png", b"new")
    film.regen("add", "new.png")
    film.git("status")  # a copy's files have other stats than the index says: git leaves such files where they are
    film.git("sparse-checkout", "set", "--no-cone", "/*", "!/shots/020/")
    assert not film.path("shots/020/big.dat.regen.json").exists()
    held = contents(export(film)[0])
    assert {"new.png.regen.json", "shots/020/big.dat.regen.json", "plate.txt"} <= held.keys()


def test_a_recipe_that_is_not_valid_is_named_and_the_rest_is_written(film):
    film.write("sky.png.regen.json", b"<<<<<<< ours\n{}\n")
    write(film, "newer.png", source(b"x"))
    text = film.path("newer.png.regen.json").read_text().replace('"regen": 1', '"regen": 2')
    film.write("newer.png.regen.json", text.encode())
    target = film.user.base / "film.regen-export"
    done = film.regen("export", str(target), check=False)
    assert done.returncode == 3 and "sky.png.regen.json" in done.stderr
    held = contents(target)
    assert "sky.png.regen.json" not in held and held["newer.png.regen.json"] == text.encode()


def test_inputs_are_bounded(film):
    film.write("plate.txt", b"x" * ((1 << 20) + 1))
    film.write(".hidden/graph.json", b"{}")
    write(film, "late.dat", generated("late.dat", None, {}, generator="command:twice", inputs={"image": ".hidden/graph.json"}))
    target, done = export(film)
    assert "plate.txt: is 1,048,577 bytes" in done.stderr and ".hidden/graph.json" in done.stderr
    assert {"plate.txt", ".hidden/graph.json"}.isdisjoint(contents(target))


def test_a_link_to_elsewhere_is_not_followed(film):
    film.write("../secret.txt", b"not in this repository")
    film.path("plate.txt").unlink()
    film.path("plate.txt").symlink_to("../secret.txt")
    held = contents(export(film)[0])
    assert held.get("plate.txt") in (None, b"plate one\n")  # as git has it, or not at all


def test_kept_in_place(home):
    project = home.repo()
    project.regen("track", "--in-place", "*.jpg")
    project.write("a.jpg", b"in place " * 50)
    project.git("add", "-A")
    project.git("commit", "-qm", "one")
    target, _ = export(project)
    found = opened(target)
    assert [path for path, _ in found.manifest.documents] == ["a.jpg"]
    assert json.loads(list(found.objects())[found.manifest.documents[0][1]])["output"]["size"] == 450


def test_a_thousand_recipes_are_small(home):
    """What it costs: about a quarter of what the sidecars take, most of it hashes, which nothing makes smaller."""
    project = home.repo()
    for number in range(1000):
        asset = f"shots/{number // 50:03}/{number:05}.png"
        write(project, asset, generated(asset, asset.encode() * 9, TEXTURE | {"seed": number}))
    target, done = export(project)
    assert "1000 recipes" in done.stdout
    assert target.stat().st_size < 250_000


# ---------------------------------------------------------------- the format


def packed(payload: bytes, **changes) -> bytes:
    """An export of any payload, valid or not."""
    digest, size = changes.get("digest", blake3(payload).hexdigest()), changes.get("size", len(payload))
    body = lzma.compress(payload, lzma.FORMAT_XZ, lzma.CHECK_NONE, preset=changes.get("preset", 6))
    return b"%s%d\n%s %d\n" % (MAGIC, changes.get("format", 1), digest.encode(), size) + body


def valid() -> tuple[ExportManifest, list[bytes]]:
    return build_manifest(project=b"[checkout]\n", files={"a.txt": b"one"}, sidecars={"b.png": b"two"}, documents={},
                          refs={"refs/heads/main": {"b.png": b"two", "c.png": b"three"}})


def test_there_and_back():
    manifest, objects = valid()
    found = ExportFile(export_bytes(manifest, objects), "x")
    assert found.manifest == manifest and list(found.objects()) == objects == [b"[checkout]\n", b"one", b"two", b"three"]
    assert parse_manifest_line(manifest_line(manifest)) == manifest


def test_an_empty_one():
    manifest, objects = build_manifest(project=None, files={}, sidecars={}, documents={}, refs={})
    assert list(ExportFile(export_bytes(manifest, objects), "x").objects()) == []


def test_every_cut_and_every_flipped_byte_is_found():
    data = export_bytes(*valid())
    for end in range(len(data)):
        with pytest.raises((InvalidError, CorruptionError)):
            ExportFile(data[:end], "x")
    for at in range(len(data)):
        broken = data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :]
        try:
            found = ExportFile(broken, "x")
        except (InvalidError, CorruptionError):
            continue
        assert list(found.objects()) == valid()[1]  # xz's own padding and flags say nothing


def test_what_follows_the_end_is_refused():
    with pytest.raises(CorruptionError, match="follows"):
        ExportFile(export_bytes(*valid()) + b"more", "x")


def test_a_newer_format_is_told_apart():
    with pytest.raises(NewerFormat):
        ExportFile(packed(b"", format=2), "x")


def test_a_bomb_is_not_unpacked():
    payload = b"{" + bytes(64 << 20)
    with pytest.raises(CorruptionError, match="more than it says"):
        ExportFile(packed(payload, size=1000), "x")
    with pytest.raises(InvalidError, match="more than an export may"):
        ExportFile(packed(payload, size=1 << 33), "x")


BASE = {"documents": [], "files": [], "project": None, "refs": {}, "sidecars": [], "sizes": [], "versions": []}


@pytest.mark.parametrize(("changes", "sizes"), [
    ({"sidecars": [["../out.png", 0]]}, [1]), ({"sidecars": [["/etc/x.png", 0]]}, [1]), ({"sidecars": [["a/../b.png", 0]]}, [1]),
    ({"sidecars": [[".git/x.png", 0]]}, [1]), ({"sidecars": [["a/.GIT/x.png", 0]]}, [1]), ({"sidecars": [["git~1/x.png", 0]]}, [1]),
    ({"sidecars": [["a\\b.png", 0]]}, [1]), ({"sidecars": [["a\0.png", 0]]}, [1]), ({"sidecars": [["", 0]]}, [1]),
    ({"sidecars": [["C:/x.png", 0]]}, [1]), ({"sidecars": [["regen.toml", 0]]}, [1]), ({"sidecars": [["x.regen.json", 0]]}, [1]),
    ({"files": [[".gitattributes", 0]]}, [1]), ({"files": [[".git/hooks/pre-commit", 0]]}, [1]), ({"files": [["regen.toml", 0]]}, [1]),
    ({"files": [[".husky/pre-commit", 0]]}, [1]), ({"files": [[".envrc", 0]]}, [1]), ({"files": [["sky.png.regen.json", 0]]}, [1]),
    ({"sidecars": [["a.png", 0], ["a.png", 0]]}, [1]), ({"sidecars": [["A.png", 0], ["a.png", 0]]}, [1]),
    ({"sidecars": [["b.png", 0], ["a.png", 0]]}, [1]), ({"files": [["a.png", 0]], "sidecars": [["a.png", 0]]}, [1]),
    ({"sidecars": [["a.png", 1]]}, [1]), ({"sidecars": [["a.png", -1]]}, [1]), ({"sidecars": [["a.png", 1 << 40]]}, [1]),
    ({"sidecars": [["a.png", 0.5]]}, [1]), ({"sidecars": [["a.png", True]]}, [1]), ({"sidecars": [["a.png"]]}, [1]),
    ({"sidecars": {}}, []), ({"sidecars": [["a.png", 0]]}, [(1 << 20) + 1]), ({"sidecars": [["a.png", 0]]}, [10**30]),
    ({}, [1]), ({"project": 7}, []), ({"project": "0"}, []), ({"refs": {"HEAD": []}}, []), ({"refs": {"refs/x": [0]}}, []),
    ({"versions": [["a.png", 0]]}, [1]), ({"extra": 1}, []),
])
def test_a_hostile_manifest_is_refused_as_a_whole(changes, sizes):
    document = BASE | changes | {"sizes": sizes}
    payload = canonical_bytes(document) + b"\n" + b"x" * sum(size for size in sizes if size < 1 << 21)
    with pytest.raises(InvalidError):
        ExportFile(packed(payload), "x")


@pytest.mark.parametrize("text", [b"", b"{}\n", b"[]\n", b"no json\n", b"{" * 100_000 + b"\n", b'{"sizes":[1E400]}\n', b"x" * 100])
def test_what_is_no_manifest(text):
    with pytest.raises(InvalidError):
        ExportFile(packed(text), "x")


def test_a_manifest_has_one_spelling():
    line = manifest_line(valid()[0])
    for other in (line.replace(b":[", b": ["), line.replace(b'"project":0', b'"project":0.0'), line[:-1] + b" \n"):
        with pytest.raises(InvalidError):
            parse_manifest_line(other)
