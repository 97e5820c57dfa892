"""`verify`: accepted takes made again into scratch, compared, and what that proves or withdraws."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from regen_vcs.cli.verify import share_of
from regen_vcs.engine import remaking
from regen_vcs.engine.proofs import BYTES, CONTENT, proof_of
from regen_vcs.engine.verify import Candidate, Verified, candidates, due, verify
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import UsageError
from regen_vcs.generators.command import Command
from tests.real_git import recipes

TABLE = """
[generators.tool]
uses = "command"
argv = ["%s", "{code}/tool.py", "{inputs.source}", "{output}", "{params.how}"]
code = ["tools/tool.py"]
[generators.tool.params]
how = { type = "string", default = "same" }
"""

# What it makes depends on `how`; what it has been told outside of the recipe is in the file at `LUCK`.
SCRIPT = """
import os, sys, zlib, struct, time
source, output, how = sys.argv[1:4]
luck = open({luck!r}).read()
data = open(source, "rb").read()
def png(comment):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))
    rows = zlib.compress(b"".join(b"\\0" + bytes((x * y) % 256 for x in range(16)) for y in range(16)))
    return b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 0, 0, 0, 0)) + chunk(b"tEXt", b"Comment\\0" + comment) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
if how == "fail" and luck != "":
    sys.exit("no luck today")
if how == "slow" and luck != "":
    time.sleep(60)
if output.endswith(".png"):
    open(output, "wb").write(png(luck.encode()))
elif "####" in output:
    for n in (1, 2, 3):
        open(output.replace("####", "%04d" % n), "wb").write(data * n + (luck.encode() if n == 2 else b""))
elif how == "folder":
    os.makedirs(output + "/deep")
    open(output + "/a.txt", "wb").write(data)
    open(output + "/deep/b.txt", "wb").write(data + luck.encode())
else:
    open(output, "wb").write(data + (b"" if how == "steady" else luck.encode()))
"""


class Film:
    """A project with one command, and how it will come out."""

    def __init__(self, project, tmp_path: Path):
        self.project, self.luck = project, tmp_path / "luck"
        self.luck.write_text("")
        self.program = tmp_path / "bin" / "film-python"
        self.program.parent.mkdir()
        self.program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        self.program.chmod(0o755)
        project.env["PATH"] = f"{self.program.parent}{os.pathsep}{project.env['PATH']}"
        project.write("tools/tool.py", SCRIPT.format(luck=str(self.luck)).encode())
        project.write("notes.txt", b"some notes\n")
        self.define("")

    def define(self, more: str) -> None:
        text = self.project.path("regen.toml").read_text().partition("\n[generators.tool]")[0]
        self.project.write("regen.toml", (text + TABLE % "film-python" + more).encode())
        self.project.git("add", "-A")
        self.project.regen("trust", "--yes")

    def make(self, asset: str, how: str = "same", source: str = "notes.txt") -> str:
        """Make and accept; the hash of what came out."""
        self.project.regen("generate", asset, "--generator", "command:tool", "--input", f"source={source}", "--param", f"how={how}")
        self.project.commit(asset)
        return recipes.read(self.project, asset).output.hash

    def verify(self, *words: str, code: int = 0) -> dict[str, dict]:
        """{asset: what is told of it}."""
        done = self.project.regen("verify", "--json", *words, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return {each["path"]: each for each in json.loads(done.stdout)["assets"]}

    def proof(self, asset: str):
        output = recipes.read(self.project, asset).output
        ws = Workspace.open(str(self.project.root), self.project.env)
        try:
            before = os.environ["PATH"]
            os.environ["PATH"] = self.project.env["PATH"]  # what a generator looks for its program in
            return proof_of(ws, output.key, output.hash)
        finally:
            os.environ["PATH"] = before
            ws.close()

    def where(self, hash: str) -> str | None:
        for name, root in (("keep", self.project.user.keep), ("cache", self.project.user.cache)):
            if (root / "v1" / "objects" / hash[:2] / hash[2:]).exists():
                return name
        return None


@pytest.fixture
def film(project, tmp_path):
    return Film(project, tmp_path)


# -- what it shows ---------------------------------------------------------------------------------------------------


def everything(project) -> dict[str, bytes]:
    """All that verify must leave alone: the worktree, records, recipes."""
    files = [path for path in project.root.rglob("*") if path.is_file() and ".git" not in path.parts]
    for name in ("results", "recipes"):
        files += [path for path in (project.user.keep / "v1" / name).rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in files}


def test_the_same_bytes_are_proven_and_leave_keep(film):
    hash = film.make("out.dat")
    before = everything(film.project)
    assert film.where(hash) == "keep" and film.proof("out.dat") is None
    told = film.verify()["out.dat"]
    assert (told["outcome"], told["proof"], told["score"], told["withdrawn"]) == ("bytes", "bytes", 1.0, False)
    proof = film.proof("out.dat")
    assert proof.kind == BYTES and not proof.own_run and proof.seconds > 0
    assert film.where(hash) == "cache"
    assert everything(film.project) == before
    assert film.project.git("status", "--porcelain").stdout == ""
    assert film.project.status()["out.dat"] == "ok"
    assert not list((film.project.user.cache / "scratch").iterdir()), "scratch is gone"


def test_what_differs_is_named_with_exit_1_and_stays(film):
    film.luck.write_text("one")
    hash = film.make("out.dat")
    film.luck.write_text("two")
    done = film.project.regen("verify", check=False)
    assert done.returncode == 1
    assert "differs  out.dat" in done.stdout and "1 different" in done.stdout
    assert film.proof("out.dat") is None and film.where(hash) == "keep"
    assert film.project.path("out.dat").read_bytes() == b"some notes\none"
    assert "out.dat" not in film.verify(), "it is known to differ, and not tried again unasked"
    assert film.verify("--all", code=1)["out.dat"]["outcome"] == "different"


def test_a_difference_withdraws_a_proof_for_good(film):
    hash = film.make("out.dat")
    film.verify()
    film.luck.write_text("bad")
    told = film.verify("--all", code=1)["out.dat"]
    assert told["withdrawn"] and told["proof"] is None
    assert film.proof("out.dat") is None
    assert film.where(hash) == "keep", "what is not proven any more goes back"
    film.luck.write_text("")
    told = film.verify("out.dat")["out.dat"]
    assert told["outcome"] == "bytes" and told["proof"] is None and "came out differently on" in told["reason"]
    assert film.proof("out.dat") is None, "what was different once may be so again"


def test_a_regeneration_that_drifts_withdraws_a_proof(film):
    hash = film.make("out.dat")
    film.verify()
    assert film.where(hash) == "cache"
    film.luck.write_text("bad")
    assert "drifted" in film.project.regen("regenerate", "out.dat").stdout
    assert film.proof("out.dat") is None and film.where(hash) == "keep"


def test_a_damaged_key_of_proofs_is_said(film):
    film.make("out.dat")
    (film.project.user.base / "config" / "proofs.key").write_bytes(b"short")
    done = film.project.regen("verify", check=False)
    assert done.returncode == 3 and "proofs.key" in done.stderr and "so none counts" in done.stderr
    film.project.regen("generate", "sky.png", "--generator", "texture", "--param", "width=16", "--param", "height=16")


def test_where_an_executor_would_make_it_what_was_proven_here_does_not_count(film):
    film.make("out.dat")
    film.verify()
    film.project.git("config", "regen.executor", "farm {job} {result}")
    assert film.proof("out.dat") is None


def test_a_regeneration_with_the_same_bytes_proves_nothing(film):
    """A server may have had them in its memory; only verify makes sure that nobody has."""
    film.make("out.dat")
    assert "restored" in film.project.regen("regenerate", "out.dat").stdout
    assert film.proof("out.dat") is None


def test_the_same_content_in_other_bytes_is_recorded_apart(film):
    film.luck.write_text("one")
    hash = film.make("out.png")
    film.luck.write_text("two")
    told = film.verify()["out.png"]
    assert (told["outcome"], told["proof"], told["score"]) == ("content", "content", 1.0)
    assert film.proof("out.png").kind == CONTENT
    assert film.where(hash) == "keep", "these very bytes would not come back"


def test_a_recipe_that_claims_the_content_of_other_bytes_proves_nothing(film):
    """Accepted bytes nobody can make, under the key and the content of something that can be made."""
    film.make("out.png")
    recipe = recipes.read(film.project, "out.png")
    treasure = b"\x89PNG the only copy of something"
    film.project.write("out.png", treasure)
    film.project.regen("accept", "out.png")
    accepted = recipes.read(film.project, "out.png")
    forged = accepted.replace(output=accepted.output.replace(content=recipe.output.content, key=recipe.output.key))
    recipes.write(film.project, "out.png", forged)
    film.project.commit("forged")
    told = film.verify(code=1)["out.png"]
    assert told["outcome"] == "different" and film.proof("out.png") is None
    assert film.where(recipes.hash_of(treasure)) == "keep"


def test_a_content_that_the_recipe_does_not_tell_is_no_proof(film):
    film.luck.write_text("one")
    film.make("out.png")
    recipe = recipes.read(film.project, "out.png")
    recipes.write(film.project, "out.png", recipe.replace(output=recipe.output.replace(content=None)))
    film.project.commit("no content")
    film.luck.write_text("two")
    told = film.verify()["out.png"]
    assert told["outcome"] == "content" and told["proof"] is None and film.proof("out.png") is None


def test_a_folder_and_a_sequence_are_compared_file_by_file(film):
    hashes = [film.make("made", "folder"), film.make("s.####.dat")]
    assert {each["outcome"] for each in film.verify().values()} == {"bytes"}
    assert [film.where(hash) for hash in hashes] == ["cache", "cache"]
    film.luck.write_text("x")
    told = film.verify("--all", code=1)
    assert told["made"]["differing"] == ["deep/b.txt"]
    assert told["s.####.dat"]["differing"] == ["2.dat"]
    assert [film.where(hash) for hash in hashes] == ["keep", "keep"]


REEL = """
[generators.reel]
uses = "command"
argv = ["film-python", "{code}/reel.py", "{output}", "{params.frames}"]
code = ["tools/reel.py"]
[generators.reel.params]
frames = { type = "string" }
"""

REEL_SCRIPT = """
import sys
output, frames = sys.argv[1:3]
luck = open({luck!r}).read()
open({seen!r}, "a").write(frames + "\\n")
for part in frames.split(","):
    first, _, last = part.partition("-")
    for n in range(int(first), int(last or first) + 1):
        open(output.replace("####", "%04d" % n), "w").write(f"frame {{n}}" + luck * (n == 5))
"""


def test_what_is_made_frame_by_frame_is_made_in_parts(film, monkeypatch, tmp_path):
    """So that scratch never holds all of a long sequence."""
    seen = tmp_path / "seen"
    film.project.write("tools/reel.py", REEL_SCRIPT.format(luck=str(film.luck), seen=str(seen)).encode())
    film.define(REEL)
    film.project.regen("generate", "r.####.txt", "--generator", "command:reel", "--param", "frames=1-7")
    film.project.commit("reel")
    monkeypatch.setattr(Command, "per_frame", True, raising=False)
    monkeypatch.setattr(remaking, "_SCRATCH_BYTES", 3 * len("frame 1"))
    for name, value in film.project.env.items():
        monkeypatch.setenv(name, value)

    def look() -> Verified:
        seen.write_text("")
        ws = Workspace.open(str(film.project.root), film.project.env)
        snapshot, found = candidates(ws, lambda path: True)
        (told,) = verify(ws, snapshot, found)
        ws.close()
        return told

    told = look()
    assert (told.outcome, told.proof) == ("bytes", "bytes")
    assert seen.read_text().split() == ["1-3", "4-6", "7"]
    film.luck.write_text("x")
    told = look()
    assert (told.outcome, told.differing, told.withdrawn) == ("different", ("5.txt",), True)


def test_an_asset_made_from_an_asset_takes_its_accepted_bytes(film):
    film.luck.write_text("one")
    film.make("a.dat")
    film.make("b.dat", "steady", source="a.dat")
    film.luck.write_text("two")
    told = film.verify(code=1)
    assert told["a.dat"]["outcome"] == "different"
    assert told["b.dat"]["outcome"] == "bytes", "its input is what was accepted, not what came out now"
    assert list(told) == ["a.dat", "b.dat"]


def test_an_input_that_is_nowhere_is_named(film):
    hash = film.make("a.dat")
    film.make("b.dat", source="a.dat")
    film.project.path("a.dat").unlink()
    (film.project.user.keep / "v1" / "objects" / hash[:2] / hash[2:]).unlink()
    told = film.verify("b.dat", code=1)["b.dat"]
    assert told["outcome"] == "failed" and "its input a.dat cannot be had" in told["reason"]


def test_an_accepted_take_that_is_nowhere_can_still_be_proven(film):
    hash = film.make("out.dat")
    film.project.path("out.dat").unlink()
    (film.project.user.keep / "v1" / "objects" / hash[:2] / hash[2:]).unlink()
    assert film.verify()["out.dat"]["outcome"] == "bytes"
    assert film.where(hash) is None, "what it makes is thrown away"
    assert film.proof("out.dat").kind == BYTES


def test_a_failed_run_is_told_and_shows_nothing(film):
    film.make("ok.dat")
    film.make("out.dat", "fail")
    film.luck.write_text("x")
    done = film.project.regen("verify", "out.dat", check=False)
    assert done.returncode == 1 and "no luck today" in done.stdout
    assert film.proof("out.dat") is None
    film.luck.write_text("")
    assert film.verify("out.dat")["out.dat"]["proof"] == "bytes", "a failure withdraws nothing"


# -- what it holds under ---------------------------------------------------------------------------------------------


def test_another_program_under_the_same_name_and_nothing_counts(film):
    film.make("out.dat")
    film.verify()
    film.program.write_text(film.program.read_text() + "\n# upgraded\n")
    assert film.proof("out.dat") is None
    film.verify()
    assert film.proof("out.dat").kind == BYTES


def test_a_program_that_is_gone_and_nothing_counts(film):
    film.make("out.dat")
    film.verify()
    film.program.unlink()
    assert film.proof("out.dat") is None


def test_another_definition_and_nothing_counts(film):
    film.make("out.dat")
    film.verify()
    film.project.write("tools/tool.py", film.project.path("tools/tool.py").read_bytes() + b"# changed\n")
    film.project.git("add", "-A")
    film.project.regen("trust", "--yes")
    assert film.proof("out.dat") is None
    told = film.verify()["out.dat"]
    assert told["outcome"] == "skipped" and "defined differently" in told["reason"]


def test_without_trust_nothing_counts_and_nothing_runs(film):
    film.make("out.dat")
    film.verify()
    film.project.regen("trust", "--revoke")
    assert film.proof("out.dat") is None
    done = film.project.regen("verify", "--all", check=False)
    assert done.returncode == 4 and "not trusted" in done.stderr


def test_nobody_elses_word_counts(film, home):
    """A store that brings results, recipes and proofs for what it cannot make."""
    film.make("out.dat")
    film.verify()
    stranger = Workspace.open(str(film.project.root), film.project.env | {"REGEN_CONFIG_DIR": str(home.base / "stranger")})
    output = recipes.read(film.project, "out.dat").output
    assert stranger.proofs.of(output.key, output.hash) is None
    stranger.results.record("a" * 64, "b" * 64, {"at": "2026-01-01T00:00:00.000Z", "seconds": 1.0, "proof": "bytes", "generator": "texture",
                                                 "generator_version": "1", "environment": {}, "output": {"hash": "blake3:" + "b" * 64, "size": 1}})
    stranger.close()
    ws = Workspace.open(str(film.project.root), film.project.env)
    assert ws.proofs.of("a" * 64, "b" * 64) is None
    ws.close()


def test_a_built_in_is_proven_by_its_own_run(film):
    film.project.regen("generate", "sky.png", "--generator", "texture", "--param", "width=16", "--param", "height=16")
    proof = film.proof("sky.png")
    assert proof.kind == BYTES and proof.own_run
    assert film.where(recipes.read(film.project, "sky.png").output.hash) == "cache"


def test_a_built_in_of_another_version_proves_nothing(film, monkeypatch):
    from regen_vcs.generators.texture import Texture

    film.project.regen("generate", "sky.png", "--generator", "texture", "--param", "width=16", "--param", "height=16")
    with monkeypatch.context() as patch:
        patch.setattr(Texture, "environment", lambda self: {"zlib": "99"})
        assert film.proof("sky.png").kind == CONTENT, "another encoder writes other bytes of the same content"
    monkeypatch.setattr(Texture, "version", "99")
    assert film.proof("sky.png") is None


def test_a_take_that_was_fetched_or_imported_is_not_proven_by_its_generators_name(film):
    film.project.regen("generate", "sky.png", "--generator", "texture", "--param", "width=16", "--param", "height=16")
    shutil.rmtree(film.project.user.keep / "v1" / "proofs")
    assert film.proof("sky.png") is None
    assert film.verify()["sky.png"]["proof"] == "bytes"


def test_what_an_executor_brings_back_is_compared_and_proves_nothing(film, tmp_path):
    from tests.real_git.farm import Machine, farm_that_runs

    film.make("out.dat")
    machine = Machine(tmp_path)
    farm = farm_that_runs(tmp_path, machine)
    farm.write_text(farm.read_text().replace("PATH=", f"PATH={film.program.parent}:", 1) if "PATH=" in farm.read_text() else farm.read_text())
    film.project.git("config", "regen.executor", f"'{farm}' {{job}} {{result}}")
    done = film.project.regen("verify", "--json", check=False)
    told = json.loads(done.stdout)["assets"][0]
    if told["outcome"] == "failed":
        pytest.skip(f"the farm of these tests cannot run this command: {told['reason']}")
    assert told["outcome"] == "bytes" and told["proof"] is None and "executor" in told["reason"]
    assert film.proof("out.dat") is None


# -- choosing --------------------------------------------------------------------------------------------------------


def test_what_cannot_be_verified_is_skipped_with_its_reason(film):
    film.make("stale.dat")
    film.project.regen("set", "stale.dat", "how=steady")
    film.project.regen("generate", "pending.dat", "--generator", "command:tool", "--input", "source=notes.txt", "--no-run")
    film.project.write("source.wav", b"recorded")
    film.project.regen("add", "source.wav")
    told = film.verify()
    assert {path: each["outcome"] for path, each in told.items()} == {"stale.dat": "skipped", "pending.dat": "skipped"}
    assert "stale" in told["stale.dat"]["reason"] and "pending" in told["pending.dat"]["reason"]


def test_paid_generators_run_only_when_asked_and_within_the_budget(film):
    film.define("")
    text = film.project.path("regen.toml").read_text().replace('uses = "command"\nargv = ["film', 'uses = "command"\npaid = true\ncost = 0.5\nargv = ["film')
    film.project.write("regen.toml", text.encode())
    film.project.git("add", "-A")
    film.project.regen("trust", "--yes")
    for number in range(3):
        film.make(f"{number}.dat")
    assert {each["outcome"] for each in film.verify().values()} == {"skipped"}
    film.project.git("config", "regen.budget", "1.10")
    told = film.verify("--paid")
    assert sorted(each["outcome"] for each in told.values()) == ["bytes", "bytes", "skipped"]
    assert {each.get("cost") for each in told.values()} == {0.5, None}
    assert film.proof("0.dat").cost == 0.5


def test_a_dry_run_runs_nothing(film):
    hash = film.make("out.dat")
    film.luck.write_text("x")
    done = film.project.regen("verify", "--dry-run")
    assert "would verify out.dat" in done.stdout and "never looked at" in done.stdout
    assert film.proof("out.dat") is None and film.where(hash) == "keep"
    assert not (film.project.user.keep / "v1" / "proofs").exists()


def test_paths_limit_it_and_naming_one_verifies_it_again(film):
    film.make("a/one.dat")
    film.make("b/two.dat")
    assert set(film.verify("a")) == {"a/one.dat"}
    assert film.verify("a") == {}, "proven already"
    assert set(film.verify("a/one.dat")) == {"a/one.dat"}
    assert film.project.regen("verify", "nothing.dat", check=False).returncode == 2


@pytest.mark.parametrize("text", ["5", "0%", "101%", "nan%", "x%", "%", "-5%", ""])
def test_a_share_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match="share"):
        share_of(text)


def test_a_sample_takes_what_was_not_looked_at_for_longest(film):
    for name in ("a", "b", "c"):
        film.project.write(f"{name}.txt", name.encode())
        film.make(f"{name}.dat", source=f"{name}.txt")
    seen = set()
    for _ in range(3):
        told = film.verify("--sample", "5%")
        assert len(told) == 1
        seen |= set(told)
        assert (film.project.user.keep / "v1" / "proofs").exists()
    assert len(seen) == 3, "those of one day are drawn by chance, those never looked at come first"


def candidate(number: int, size: int, last: str = "") -> Candidate:
    return Candidate(f"{number}", "texture", size, 1.0, None, "k", f"{number}", last, None, None, None, None)


def test_a_sample_is_a_share_of_the_bytes_and_at_least_one():
    fit = [candidate(number, 100) for number in range(100)]
    assert len(due(fit, 0.05)) == 5
    assert len(due([candidate(0, 10**9), candidate(1, 1)], 1e-6)) == 1
    assert due([], 0.5) == []
    assert len(due(fit, 1.0)) == 100


def test_after_as_many_nights_as_the_share_says_all_had_their_turn():
    chance = random.Random(1)
    last = {number: "" for number in range(60)}
    for night in range(20):
        fit = [candidate(number, 50 + number, at) for number, at in last.items()]
        for each in due(fit, 0.05, chance):
            last[int(each.path)] = f"2026-01-{night + 1:02d}T00:00:00Z"
    never = [number for number, at in last.items() if not at]
    assert len(never) <= 6, "twenty nights of 5 % miss only what was left over by rounding"


def test_large_ones_are_drawn_rather():
    chance = random.Random(2)
    fit = [candidate(number, 1) for number in range(99)] + [candidate(99, 99)]
    drawn = sum(due(fit, 0.001, chance)[0].path == "99" for _ in range(400))
    assert 120 < drawn < 280, "half of the bytes, half of the draws"


# -- ended in the middle ---------------------------------------------------------------------------------------------


def start_slow(film) -> subprocess.Popen:
    film.make("a.dat")
    film.make("slow.dat", "slow")
    film.luck.write_text("x")
    film.project.regen("verify", "a.dat", check=False)
    argv = [sys.executable, "-I", "-m", "regen_vcs", "verify", "slow.dat"]
    proc = subprocess.Popen(argv, cwd=film.project.root, env=film.project.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    scratch = film.project.user.cache / "scratch"
    deadline = time.monotonic() + 30
    while not (scratch.exists() and list(scratch.glob("job-*/code/tool.py"))):
        assert time.monotonic() < deadline and proc.poll() is None, proc.communicate()
        time.sleep(0.05)
    return proc


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_ended_in_the_middle_all_is_as_it_was(film, number):
    proc = start_slow(film)
    proc.send_signal(number)
    out, err = proc.communicate(timeout=30)
    assert proc.returncode == (130 if number == signal.SIGINT else -number), out + err
    assert film.proof("slow.dat") is None
    assert film.project.status()["slow.dat"] == "ok"
    film.luck.write_text("")
    assert film.verify("slow.dat")["slow.dat"]["proof"] == "bytes"
    assert not list((film.project.user.cache / "scratch").iterdir())
    assert json.loads(film.project.regen("queue", "--json").stdout)["jobs"] == [] or all(
        job["state"] == "done" for job in json.loads(film.project.regen("queue", "--json").stdout)["jobs"]
    ), "it leaves no job behind"


# -- what stays in keep ----------------------------------------------------------------------------------------------


def test_what_is_pinned_or_was_rescued_stays_in_keep_though_proven(film):
    hash = film.make("out.dat")
    film.project.regen("pin", "out.dat")
    assert film.verify()["out.dat"]["proof"] == "bytes"
    assert film.where(hash) == "keep"
    film.project.regen("unpin", "out.dat")
    film.verify("out.dat")
    assert film.where(hash) == "cache"


def test_a_read_only_configuration_folder_stops_no_work(film):
    if os.geteuid() == 0:
        film.project.env["REGEN_CONFIG_DIR"] = "/proc/nowhere"
    else:
        (film.project.user.base / "config").chmod(stat.S_IRUSR | stat.S_IXUSR)
    film.project.regen("generate", "sky.png", "--generator", "texture", "--param", "width=16", "--param", "height=16")
    assert film.project.status()["sky.png"] == "ok"
