"""Hooks and drivers in real repositories: what starts, what does not, what is chained, and what is left after."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import time

import pytest

from regen_vcs.git import config, install
from regen_vcs.git.index import forget_listing, list_sidecars, write_listing
from regen_vcs.git.repo import Repo
from regen_vcs.git.run import Git

SIDECAR = b'{\n  "regen": 1\n}\n'

LAUNCHER = """#!/bin/sh
{{ echo "$*"; env | grep -E '^(GIT_INDEX_FILE|REGEN_ACTIVE)=' | sed 's/^/  /'; }} >>'{log}'
case $2 in pre-push | post-rewrite) sed 's/^/  stdin: /' >>'{log}' ;; esac
exit {status}
"""


class Sandbox:
    """A repository with a guarded home, and a stand-in for regen-vcs that writes down how it was started."""

    def __init__(self, folder, name="repo", *options):
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir(exist_ok=True)
        self.log = folder / "calls"
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(self.home / "gitconfig"),
            "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@b",
        }  # fmt: skip
        self.root = folder / name
        self.git_in(folder, "init", "-q", "-b", "main", *options, str(self.root))
        self.launcher = folder / "laun cher's"
        self.set_status(0)

    def set_status(self, status):
        self.launcher.write_text(LAUNCHER.format(log=self.log, status=status))
        self.launcher.chmod(0o755)

    def git(self, *argv, **options):
        return self.git_in(self.root, *argv, **options)

    def git_in(self, cwd, *argv, check=True, env=None, **options):
        return subprocess.run(
            ["git", *argv], cwd=cwd, env=self.environ | (env or {}), check=check, capture_output=True, **options
        )

    def write(self, path, data=SIDECAR):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)

    def commit(self, message="c"):
        self.git("add", "-A")
        self.git("commit", "-qm", message)

    @property
    def repo(self):
        return Repo.discover(str(self.root), self.environ)

    def install(self):
        return install.install_hooks(self.repo, [str(self.launcher)])

    def sync(self, root=None):
        """What the real tool does at the end of a sync, as far as the hooks are concerned."""
        repo = Repo.discover(str(root or self.root), self.environ)
        write_listing(repo, list_sidecars(repo)[1])

    def calls(self):
        """What was started since the last look: hook lines without their indented details."""
        text = self.log.read_text() if self.log.exists() else ""
        self.log.unlink(missing_ok=True)
        self.details = text
        return [line.removeprefix("hook ") for line in text.splitlines() if not line.startswith(" ")]

    def names(self):
        return sorted({call.split()[0] for call in self.calls()})


@pytest.fixture
def box(tmp_path):
    return Sandbox(tmp_path)


@pytest.fixture
def synced(tmp_path):
    """Two branches: `main` with a sidecar and a text, `other` with another text; hooks in place, all in sync."""
    box = Sandbox(tmp_path)
    box.write("shots/a.png.regen.json")
    box.write("notes.txt", b"1\n")
    box.commit()
    box.git("switch", "-qc", "other")
    box.write("notes.txt", b"2\n")
    box.commit()
    box.git("switch", "-q", "main")
    box.install()
    box.sync()
    box.calls()
    return box


def snapshot(folder):
    """Every file: bytes, mode, link target."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        elif path.is_file():
            found[name] = (stat.S_IMODE(path.stat().st_mode), path.read_bytes())
        else:
            found[name] = stat.S_IMODE(path.stat().st_mode)
    return found


# --- what starts, and what does not -----------------------------------------------------------------


def test_a_switch_that_touches_no_sidecar_starts_nothing(synced):
    synced.git("switch", "-q", "other")
    synced.git("switch", "-q", "main")
    synced.git("reset", "-q", "--hard", "other")
    synced.git("checkout", "-q", "HEAD~1", "--", "notes.txt")
    synced.git("stash", "-q")
    synced.git("stash", "pop", "-q")
    synced.write("notes.txt", b"3\n")
    synced.commit()
    assert synced.calls() == []


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (("switch", "-q", "changed"), {"post-index-change", "post-checkout"}),
        (("reset", "-q", "--hard", "changed"), {"post-index-change"}),
        (("merge", "-q", "changed"), {"post-index-change", "post-merge"}),
        (("merge", "-q", "--no-ff", "-m", "m", "deleted"), {"post-index-change", "post-merge"}),
        (("cherry-pick", "deleted"), {"post-index-change", "post-commit"}),
        (("rebase", "-q", "changed"), {"post-index-change", "post-checkout"}),
        (("checkout", "changed", "--", "shots/a.png.regen.json"), {"post-checkout"}),
        (("restore", "--source", "changed", "-SW", "shots"), {"post-checkout"}),
        (("read-tree", "-u", "-m", "deleted"), {"post-index-change"}),
        (("rm", "-q", "--cached", "shots/a.png.regen.json"), set()),
    ],
)
def test_a_change_of_sidecars_starts_the_tool(synced, command, expected):
    synced.git("switch", "-qc", "changed")
    synced.write("shots/a.png.regen.json", b'{"regen": 1, "meta": {}}\n')
    synced.commit()
    synced.git("switch", "-qc", "deleted", "main")
    synced.git("rm", "-q", "shots/a.png.regen.json")
    synced.git("commit", "-qm", "d")
    synced.git("switch", "-q", "main")
    synced.sync()
    synced.calls()
    synced.git(*command)
    assert set(synced.names()) == expected


def test_deletion_by_am_starts_the_tool(synced):
    synced.git("rm", "-q", "shots/a.png.regen.json")
    synced.git("commit", "-qm", "d")
    patch = synced.git("format-patch", "--stdout", "-1").stdout
    synced.git("reset", "-q", "--hard", "HEAD~1")
    synced.sync()
    synced.calls()
    synced.git("am", "-q", input=patch)
    assert "post-applypatch" in synced.names()


def test_a_stash_of_a_sidecar_starts_the_tool_with_the_real_index(synced):
    synced.write("shots/b.png.regen.json")
    synced.git("add", "-A")
    synced.sync()
    synced.git("stash", "-q")
    assert synced.names() == ["post-index-change"]
    synced.sync()
    synced.git("stash", "pop", "-q")
    assert synced.names() == ["post-index-change"]
    assert "GIT_INDEX_FILE" not in synced.details


def test_amend_starts_post_rewrite_with_its_input(synced):
    synced.write("shots/b.png.regen.json")
    synced.git("add", "-A")
    synced.git("commit", "-q", "--amend", "--no-edit")
    calls = synced.calls()
    assert "post-rewrite amend" in calls
    head = synced.git("rev-parse", "HEAD").stdout.decode().strip()
    assert f" {head}\n" in synced.details.split("stdin:")[1]


def test_hand_edits_and_git_add_start_nothing(synced):
    synced.write("shots/a.png.regen.json", b"{}\n")
    synced.git("status")
    synced.write("shots/new.png.regen.json")
    synced.git("add", "-A")
    synced.git("status")
    assert synced.calls() == []


def test_an_unsettled_worktree_is_looked_at_after_every_change(synced):
    forget_listing(synced.repo)
    synced.git("switch", "-q", "other")
    assert "post-checkout" in synced.names()
    forget_listing(synced.repo)
    synced.write("shots/a.png.regen.json", b"{}\n")
    synced.git("checkout", "--", "shots/a.png.regen.json")
    assert synced.names() == ["post-checkout"]


def test_no_change_is_ever_missed_in_a_burst(synced):
    """Writes of the index within one tick of the clock: bytes are compared, not times."""
    for n in range(8):
        synced.write("shots/a.png.regen.json", b'{"n": %d}\n' % n)
        synced.git("commit", "-qam", "x")
        assert "post-commit" in synced.names()
        synced.sync()
        synced.git("reset", "-q", "--hard", "HEAD~1")
        assert synced.names() == ["post-index-change"]
        synced.sync()


@pytest.mark.parametrize("variable", ["REGEN_ACTIVE", "_PRE_COMMIT_SKIP_POST_CHECKOUT"])
def test_silenced(synced, variable):
    forget_listing(synced.repo)
    synced.git("switch", "-q", "other", env={variable: "1"})
    assert synced.calls() == []


def test_pathspec_variables_of_the_user_change_nothing(synced):
    synced.git("switch", "-q", "other", env={"GIT_LITERAL_PATHSPECS": "1"})
    assert synced.calls() == []


def test_a_failing_tool_fails_no_command(synced):
    synced.set_status(3)
    forget_listing(synced.repo)
    assert synced.git("switch", "-q", "other").returncode == 0


# --- pre-commit and pre-push ------------------------------------------------------------------------


def test_pre_commit_starts_for_sidecars_and_new_files_only(synced):
    synced.write("notes.txt", b"9\n")
    synced.git("commit", "-qam", "text")
    assert synced.names() == []
    synced.write("plate.png", b"raw")
    synced.commit()
    assert synced.names() == ["pre-commit"]
    synced.write("shots/a.png.regen.json", b"{}\n")
    synced.git("commit", "-qam", "sidecar")
    assert synced.names() == ["post-commit", "pre-commit"]


def test_pre_commit_of_new_files_where_there_are_no_sidecars(box):
    box.install()
    box.write("a.txt", b"1")
    box.commit()
    assert box.calls() == []


def test_pre_commit_sees_the_index_that_is_committed(synced):
    synced.write("shots/a.png.regen.json", b"{}\n")
    synced.git("commit", "-qm", "one path", "--", "shots/a.png.regen.json")
    assert "pre-commit" in synced.names()
    assert "GIT_INDEX_FILE=" in synced.details.split("hook pre-commit")[1].split("hook ")[0]


def test_pre_commit_refuses(synced):
    synced.set_status(3)
    synced.write("shots/b.png.regen.json")
    synced.git("add", "-A")
    assert synced.git("commit", "-qm", "x", check=False).returncode == 1


def test_pre_push_gets_arguments_and_input(synced, tmp_path):
    synced.git_in(tmp_path, "init", "-q", "--bare", "remote.git")
    synced.git("remote", "add", "origin", str(tmp_path / "remote.git"))
    synced.git("push", "-q", "origin", "main:first")
    assert synced.calls() == []  # no Python starts where there is nowhere to put media
    synced.git("config", "regen.remote.nas.url", f"{tmp_path}/nas")
    synced.git("push", "-q", "origin", "main")
    assert synced.calls() == [f"pre-push origin {tmp_path}/remote.git"]
    assert "  stdin: refs/heads/main " in synced.details


# --- the launcher -----------------------------------------------------------------------------------


def test_the_tool_on_path_serves_when_the_launcher_is_gone(synced, tmp_path):
    tools = tmp_path / "my tools"
    tools.mkdir()
    synced.launcher.rename(tools / "regen-vcs")
    forget_listing(synced.repo)
    synced.git("switch", "-q", "other", env={"PATH": f"{tools}:{synced.environ['PATH']}"})
    assert "post-checkout" in synced.names()


def test_a_tool_from_the_worktree_or_a_relative_folder_never_serves(synced, tmp_path):
    (synced.root / "bin").mkdir()
    shutil.copy(synced.launcher, synced.root / "bin/regen-vcs")
    (tmp_path / "link").symlink_to(synced.root / "bin")
    synced.launcher.unlink()
    forget_listing(synced.repo)
    path = f"bin:.:{synced.root}/bin:{tmp_path}/link:{synced.environ['PATH']}"
    result = synced.git("switch", "-q", "other", env={"PATH": path})
    assert synced.calls() == []
    assert result.returncode == 0
    assert b"regen-vcs: not found on this machine" in result.stderr


def test_a_missing_tool_fails_no_commit_and_is_quiet_where_nothing_is_wrong(synced):
    synced.launcher.unlink()
    synced.write("notes.txt", b"4\n")
    assert synced.git("commit", "-qam", "x").stderr == b""
    synced.write("shots/b.png.regen.json")
    synced.git("add", "-A")
    result = synced.git("commit", "-qm", "y")
    assert result.stderr.decode().splitlines()[0].endswith("the staged recipes were not checked; install it, then run: regen-vcs init")


def test_the_real_launcher_is_spelt_out():
    text = install.render_hook("post-checkout", [sys.executable, "-I", "-m", "regen_vcs"]).decode()
    assert f"    '{sys.executable}' -I -m regen_vcs hook \"$hook\" \"$@\"\n" in text
    assert "#include" not in text
    assert "@" not in text.replace('"$@"', "")


# --- other programs' hooks --------------------------------------------------------------------------

FOREIGN = "#!/bin/sh\necho foreign {name} \"$@\" >>'{log}'\n{more}exit {status}\n"


def put_foreign(box, name, status=0, more=""):
    path = box.root / ".git/hooks" / name
    path.write_text(FOREIGN.format(name=name, log=box.log, status=status, more=more))
    path.chmod(0o750)
    return path


def test_a_foreign_hook_runs_first_and_keeps_its_say(box):
    put_foreign(box, "pre-commit", status=7)
    put_foreign(box, "post-checkout", status=5)
    done = box.install()
    assert done.chained == ["pre-commit", "post-checkout"]
    assert install.hook_state(box.repo)["pre-commit"] == "chained"
    box.write("a.png.regen.json")
    box.git("add", "-A")
    assert box.git("commit", "-qm", "x", check=False).returncode == 1
    assert box.calls() == ["foreign pre-commit"]
    box.git("commit", "-qnm", "x")
    box.calls()
    assert box.git("switch", "-qc", "b", check=False).returncode != 0
    calls = box.calls()
    assert calls[0].startswith("foreign post-checkout ")
    assert calls[1].startswith("post-checkout ")


def test_both_read_the_whole_input(box, tmp_path):
    more = f"sed 's/^/  foreign: /' >>'{box.log}'\n"
    put_foreign(box, "pre-push", more=more)
    put_foreign(box, "post-rewrite")  # this one does not read at all
    box.install()
    box.write("a.png.regen.json")
    box.commit()
    box.git("commit", "-q", "--amend", "-m", "amended")
    assert any(call.startswith("post-rewrite") for call in box.calls())
    assert "  stdin: " in box.details
    box.git_in(tmp_path, "init", "-q", "--bare", "r.git")
    box.git("config", "regen.remote.nas.url", f"{tmp_path}/nas")
    box.git("push", "-q", str(tmp_path / "r.git"), "main")
    assert [call.split()[0] for call in box.calls()] == ["foreign", "pre-push"]
    assert "  foreign: refs/heads/main" in box.details
    assert "  stdin: refs/heads/main" in box.details


def test_a_foreign_hook_runs_even_while_we_are_silenced(box):
    put_foreign(box, "post-checkout")
    box.install()
    box.write("a.txt", b"")
    box.commit()
    box.git("switch", "-qc", "b", env={"REGEN_ACTIVE": "1"})
    assert [call.split()[0] for call in box.calls()] == ["foreign"]


def test_install_twice_chains_once(box):
    put_foreign(box, "pre-commit")
    first = box.install()
    before = snapshot(box.root / ".git/hooks")
    assert box.install() == first
    assert snapshot(box.root / ".git/hooks") == before


def test_an_older_hook_of_ours_is_brought_up_to_date(box):
    path = box.root / ".git/hooks/post-merge"
    path.write_text("#!/bin/sh\n# regen-vcs hook 0: post-merge\nexit 9\n")
    assert box.install().chained == []
    assert "exit 9" not in path.read_text()


def test_a_hook_that_asks_for_its_own_name_is_left_alone(box):
    path = put_foreign(box, "post-merge", more='hook=$(basename "$0")\n')
    text = path.read_bytes()
    done = box.install()
    assert "its own file name" in done.refused["post-merge"]
    assert path.read_bytes() == text
    assert install.hook_state(box.repo)["post-merge"] == "foreign"
    assert not install.hooks_in_place(box.repo)


def test_nothing_is_overwritten_where_a_second_foreign_hook_came_later(box):
    put_foreign(box, "pre-commit")
    box.install()
    late = put_foreign(box, "pre-commit", more="# late\n")
    assert "already holds one" in box.install().refused["pre-commit"]
    removed = install.uninstall_hooks(box.repo)
    assert "# late" in late.read_text()
    assert list(removed.left) == [str(late) + ".regen-chained"]


PRE_COMMIT = """#!/usr/bin/env bash
# File generated by pre-commit: https://pre-commit.com
HERE="$(cd "$(dirname "$0")" && pwd)"
if [ -x "$HERE/pre-commit.legacy" ]; then PRE_COMMIT_RUNNING_LEGACY=1 "$HERE/pre-commit.legacy" "$@" || exit 1; fi
echo framework >>'{log}'
"""


def test_the_pre_commit_framework_keeps_its_own_hook(box):
    path = box.root / ".git/hooks/pre-commit"
    path.write_text(PRE_COMMIT.format(log=box.log))
    path.chmod(0o755)
    before = snapshot(box.root / ".git/hooks")
    assert box.install().chained == ["pre-commit"]
    assert install.is_ours(f"{path}.legacy")
    box.write("a.png.regen.json")
    box.commit()
    assert box.calls()[:2] == ["pre-commit", "framework"]
    install.uninstall_hooks(box.repo)
    assert snapshot(box.root / ".git/hooks") == before


def test_the_pre_commit_framework_installed_after_us(box):
    put_foreign(box, "pre-commit")
    box.install()
    hooks = box.root / ".git/hooks"
    (hooks / "pre-commit").rename(hooks / "pre-commit.legacy")  # as `pre-commit install` does
    (hooks / "pre-commit").write_text(PRE_COMMIT.format(log=box.log))
    (hooks / "pre-commit").chmod(0o755)
    assert box.install().chained == ["pre-commit"]
    assert install.hook_state(box.repo)["pre-commit"] == "chained"
    box.write("a.png.regen.json")
    box.commit()
    assert box.calls()[:3] == ["foreign pre-commit", "pre-commit", "framework"]
    install.uninstall_hooks(box.repo)
    assert "foreign" in (hooks / "pre-commit.legacy").read_text()


# --- where hooks are not ours to write ----------------------------------------------------------------


def test_choose_place():
    ours = install.choose_place("/r/.git/hooks", "/r/.git", (2, 39, 5))
    assert ours.kind == "hooks"
    for folder in ("/r/.husky/_", "/etc/hooks", "/r/.github"):
        assert install.choose_place(folder, "/r/.git", (2, 53, 1)).kind == "manual"
        assert install.choose_place(folder, "/r/.git", (2, 54, 0)).kind == "config"


def test_husky_gets_lines_to_add_and_no_file(box):
    box.git("config", "core.hooksPath", ".husky/_")
    box.write(".husky/_/husky.sh", b"")
    box.write(".husky/post-checkout", b"#!/bin/sh\n")
    before = snapshot(box.root)
    done = box.install()
    assert done.place.kind == "manual"
    assert (done.written, done.chained) == ([], [])
    assert snapshot(box.root) == before
    by_file = {os.path.relpath(s.file, box.root): s.line for s in done.snippets}
    assert by_file[".husky/post-checkout"] == (
        'if command -v regen-vcs >/dev/null; then regen-vcs hook post-checkout "$@" || :; fi'
    )
    assert not install.hooks_in_place(box.repo)


def test_a_shared_hooks_folder_outside_is_left_alone(box, tmp_path):
    shared = tmp_path / "shared hooks"
    shared.mkdir()
    box.git("config", "--global", "core.hooksPath", str(shared))
    assert box.install().place.kind == "manual"
    assert list(shared.iterdir()) == []


def test_a_hooks_folder_linked_into_the_worktree_is_tracked_code(box):
    shutil.rmtree(box.root / ".git/hooks")
    (box.root / "hooks").mkdir()
    (box.root / ".git/hooks").symlink_to("../hooks")
    assert box.install().place.kind == "manual"


def test_config_hooks(box):
    """The git installed here may be too old to run them: what they call is tried by hand."""
    box.git("config", "core.hooksPath", ".husky")
    before = snapshot(box.root)
    place = install.choose_place(box.repo.hooks_dir, box.repo.common_dir, (2, 54))
    done = install.install_hooks(box.repo, [str(box.launcher)], place=place)
    assert done.written == list(install.HOOK_NAMES)
    values = config.read_config(box.repo, "hook")
    assert values["hook.regen-post-checkout.event"].value == "post-checkout"
    box.write("a.png.regen.json")
    box.git("add", "-A")
    command = values["hook.regen-post-checkout.command"].value
    subprocess.run(["sh", "-c", f'{command} "$@"', "sh", "1", "2", "1"], cwd=box.root, env=box.environ, check=True)
    assert box.calls() == ["post-checkout 1 2 1"]
    box.git("rm", "-qf", "--cached", "a.png.regen.json")
    os.unlink(box.root / "a.png.regen.json")
    install.uninstall_hooks(box.repo)
    install.unset_drivers(box.repo)
    after = snapshot(box.root)
    for each in (before, after):
        each.pop(".git/index", None)
        each = {name: value for name, value in each.items() if not name.startswith(".git/objects")}
    assert after[".git/config"] == before[".git/config"]
    assert ".git/regen" not in after


# --- drivers and leaving without a trace --------------------------------------------------------------


def test_drivers_with_and_without_hooks(box):
    ours = [sys.executable, "-I", "-m", "regen_vcs"]
    install.set_drivers(box.repo, ours, hooks_in_place=False)
    process = box.git("config", "filter.regen.process").stdout.decode().strip()
    assert process.endswith(f"; exec '{sys.executable}' -I -m regen_vcs filter-process")
    assert " -I " in process
    install.set_drivers(box.repo, ours, hooks_in_place=True)
    assert box.git("config", "filter.regen.process").stdout == b"\n"
    assert box.git("config", "merge.regen.driver").stdout.decode().strip().endswith("merge-driver %O %A %B %L %P")
    assert box.git("config", "diff.regen.cachetextconv").stdout == b"true\n"
    assert box.git("config", "filter.regen.required", check=False).returncode == 1


def test_the_user_s_own_values_come_back(box):
    box.git("config", "filter.regen.required", "true")
    box.git("config", "merge.regen.name", "mine")
    box.git("config", "user.password", "secret")
    before = (box.root / ".git/config").read_bytes()
    for _ in range(2):
        install.set_drivers(box.repo, ["/x", "-I"], in_place=True)
    assert box.git("config", "merge.regen.name").stdout != b"mine\n"
    assert "secret" not in (box.root / ".git/regen/install.json").read_text()
    config.set_local(box.repo, "regen.uuid", "u")
    install.unset_drivers(box.repo)
    assert (box.root / ".git/config").read_bytes() == before


@pytest.mark.parametrize("tail", [b"", b"[core]\n\tabbrev = 10", b"# a comment at the end\n\n"])
def test_uninstall_restores_every_byte(box, tail):
    put_foreign(box, "pre-commit")
    put_foreign(box, "pre-push").chmod(0o644)
    (box.root / "tool.sh").write_text("#!/bin/sh\n")
    (box.root / ".git/hooks/post-merge").symlink_to("../../tool.sh")
    with open(box.root / ".git/config", "ab") as file:
        file.write(tail)
    os.chmod(box.root / ".git/config", 0o600)
    before = snapshot(box.root)
    install.set_setting(box.repo, "regen.uuid", "u")
    for _ in range(2):
        box.install()
        install.set_drivers(box.repo, [str(box.launcher)], hooks_in_place=install.hooks_in_place(box.repo))
    install.uninstall_hooks(box.repo)
    install.unset_drivers(box.repo)
    assert snapshot(box.root) == before


def test_uninstall_where_there_was_no_hooks_folder(box):
    shutil.rmtree(box.root / ".git/hooks")
    box.install()
    assert install.hooks_in_place(box.repo)
    install.uninstall_hooks(box.repo)
    assert not (box.root / ".git/hooks").exists()


def test_a_setting_made_meanwhile_survives(box):
    install.set_drivers(box.repo, ["/x"])
    box.git("config", "user.nickname", "me")
    install.unset_drivers(box.repo)
    text = (box.root / ".git/config").read_text()
    assert "nickname = me" in text
    assert "regen" not in text
    assert not (box.root / ".git/regen").exists()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_setting_of_ours_made_without_the_ledger(box, when):
    before = (box.root / ".git/config").read_bytes()
    if when == "before":
        config.set_local(box.repo, "regen.uuid", "u")
    install.set_drivers(box.repo, ["/x"])
    if when == "after":
        config.set_local(box.repo, "regen.uuid", "u")
    install.unset_drivers(box.repo)
    assert (box.root / ".git/config").read_bytes() == before


def test_a_lost_ledger_leaves_nothing_of_ours(box):
    install.set_drivers(box.repo, ["/x"])
    shutil.rmtree(box.root / ".git/regen")
    install.unset_drivers(box.repo)
    assert "regen" not in (box.root / ".git/config").read_text()


def test_the_textconv_cache_goes_too(box):
    box.write("a.png.regen.json")
    box.write(".gitattributes", b"*.regen.json diff=regen\n")
    box.commit()
    install.set_drivers(box.repo, ["/bin/cat"])
    box.git("config", "diff.regen.textconv", "cat")
    box.git("log", "-p")
    assert box.git("show-ref").stdout.count(b"refs/notes/textconv/regen") == 1
    install.unset_drivers(box.repo)
    assert b"textconv" not in box.git("show-ref").stdout


def test_global_drivers_leave_no_trace(box):
    git = Git(str(box.root), box.environ)
    install.set_drivers(git, ["/x", "-I", "-m", "regen_vcs"])
    assert b" -I " in box.git("config", "--global", "filter.regen.process").stdout
    install.unset_drivers(git)
    assert not (box.home / "gitconfig").exists()
    (box.home / "gitconfig").write_text("[user]\n\tname = A\n")
    install.set_drivers(git, ["/x"])
    install.unset_drivers(git)
    assert (box.home / "gitconfig").read_text() == "[user]\n\tname = A\n"


# --- situations -------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [(), ("--object-format=sha256",)])
@pytest.mark.parametrize("name", ["Ünser Projekt", "it's-a [repo]"])
def test_odd_folders_and_hash_formats(tmp_path, name, options):
    box = Sandbox(tmp_path, name, *options)
    box.write("shöts/ä b.png.regen.json")
    box.install()
    box.commit()
    assert "post-commit" in box.names()
    box.sync()
    box.git("switch", "-qc", "b")
    assert box.calls() == []


def test_a_linked_worktree_has_its_own_listing(synced, tmp_path):
    other = tmp_path / "second tree"
    synced.git("worktree", "add", "-q", str(other), "other")
    assert "post-checkout" in synced.names()
    synced.sync(other)
    assert (synced.root / ".git/worktrees/second-tree/regen/listing").exists()
    synced.git_in(other, "switch", "-qc", "third")
    synced.git_in(other, "reset", "-q", "--hard", "HEAD")
    assert synced.calls() == []
    synced.git_in(other, "rm", "-q", "shots/a.png.regen.json")
    synced.git_in(other, "commit", "-qm", "d")
    assert synced.names() == ["post-commit", "pre-commit"]


def test_a_submodule_has_hooks_of_its_own(synced, tmp_path):
    outer = Sandbox(tmp_path, "outer")
    outer.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(synced.root), "media")
    inner = Repo.discover(str(outer.root / "media"), outer.environ)
    install.install_hooks(inner, [str(outer.launcher)])
    assert os.path.isfile(f"{outer.root}/.git/modules/media/hooks/post-checkout")
    synced.calls()
    outer.git_in(outer.root / "media", "checkout", "-q", "HEAD~0")
    assert "post-checkout" in outer.names()
    outer.sync(outer.root / "media")
    outer.git_in(outer.root / "media", "checkout", "-q", "origin/other")
    assert outer.calls() == []


def test_a_sparse_index(synced):
    synced.git("sparse-checkout", "set", "--cone", "--sparse-index", "docs")
    synced.sync()
    synced.calls()
    synced.git("switch", "-q", "other")
    synced.git("switch", "-q", "main")
    assert synced.calls() == []


def test_a_split_index(synced):
    synced.git("update-index", "--split-index")
    synced.git("switch", "-q", "other")
    synced.git("reset", "-q", "--hard", "main")
    assert synced.calls() == []
    synced.git("rm", "-q", "shots/a.png.regen.json")
    synced.git("commit", "-qm", "d")
    synced.sync()
    synced.calls()
    synced.git("reset", "-q", "--hard", "HEAD~1")
    assert synced.names() == ["post-index-change"]


def test_sparse_checkout_starts_the_tool_when_it_skips_other_files(synced):
    def step(*command):
        synced.git("sparse-checkout", *command)
        names = synced.names()
        synced.sync()
        return names

    assert step("set", "--no-cone", "/notes.txt") == ["post-index-change"]
    assert step("reapply") == []
    assert step("add", "/shots/") == ["post-index-change"]
    assert step("set", "--cone", "shots") == []
    assert step("set", "--cone", "docs") == ["post-index-change"]
    assert step("disable") == ["post-index-change"]
    synced.write("shots/new.png.regen.json")
    synced.git("add", "-A")
    forget_listing(synced.repo)
    synced.git("status")
    assert synced.calls() == []


def test_a_shim_that_leaves_is_cheap(synced):
    """5 ms on a quiet machine; the bound here only catches a Python that starts after all."""
    best = 1.0
    for _ in range(10):
        start = time.perf_counter()
        subprocess.run([".git/hooks/post-checkout", "a", "b", "1"], cwd=synced.root, env=synced.environ, check=True)
        best = min(best, time.perf_counter() - start)
    assert synced.calls() == []
    assert best < 0.05
