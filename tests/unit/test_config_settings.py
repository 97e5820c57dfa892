"""Settings: where each value comes from, what wins, and what a repository may not say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from regen_vcs.engine.config import Settings, cache_dir, config_dir, data_dir
from regen_vcs.errors import InvalidError, UsageError
from regen_vcs.model.settings import SETTINGS, format_setting, parse_setting

HOME = {"HOME": "/home/ada"}


def git(**values: str) -> dict:
    """git config as read_config gives it: keys in lower case, (value, origin, scope)."""
    return {key.replace("_", "."): (value, "file:.git/config", "local") for key, value in values.items()}


def settings(tmp_path, *, user: str | None = None, project: str | None = None, **given) -> Settings:
    path = tmp_path / "config.toml"
    if user is not None:
        path.write_text(user)
    return Settings(user_config_path=str(path), load_project=lambda: project.encode() if project is not None else None, **given)


def test_defaults(tmp_path):
    found = settings(tmp_path, environ=HOME)
    assert found.get("checkout.missing") == "regenerate"
    assert found.get("checkout.wait") == 30.0
    assert found.get("link") == "copy"
    assert found.get("spare.limit") == 4 << 30
    assert found.get("gc.grace") == 30 * 86400
    assert found.get("cacheDir") == "/home/ada/.cache/regen-vcs"
    assert found.get("keepDir") == "/home/ada/.local/share/regen-vcs"
    assert found.origin("link") == "default"


def test_each_place_wins_over_those_below_it(tmp_path):
    places = {
        "project": '[checkout]\nmissing = "leave"\nwait = "1s"',
        "user": '[checkout]\nwait = "2s"',
        "git_config": git(regen_checkoutwait="3s"),
        "environ": {**HOME, "REGEN_CHECKOUT_WAIT": "4s"},
        "cli": {"checkout.wait": "5s"},
    }
    expected = {
        "cli": (5.0, "command line"),
        "environ": (4.0, "REGEN_CHECKOUT_WAIT in the environment"),
        "git_config": (3.0, "regen.checkoutWait in git config (file:.git/config)"),
        "user": (2.0, f"checkout.wait in {tmp_path}/config.toml"),
        "project": (1.0, "checkout.wait in regen.toml"),
    }
    for place, (value, origin) in expected.items():
        if place == "project":
            (tmp_path / "config.toml").unlink()
        found = settings(tmp_path, **places)
        assert (found.get("checkout.wait"), found.origin("checkout.wait")) == (value, origin)
        assert found.get("checkout.missing") == "leave"
        del places[place]


def test_spellings_follow_from_the_name():
    assert SETTINGS["checkout.wait"].git_key == "regen.checkoutWait"
    assert SETTINGS["checkout.wait"].env_name == "REGEN_CHECKOUT_WAIT"
    assert SETTINGS["cacheDir"].git_key == "regen.cacheDir"
    assert SETTINGS["cacheDir"].env_name == "REGEN_CACHE_DIR"
    assert SETTINGS["gc.keepTakes"].git_key == "regen.gcKeepTakes"
    assert SETTINGS["gc.keepTakes"].env_name == "REGEN_GC_KEEP_TAKES"
    assert SETTINGS["remote.trustResults"].env_name == "REGEN_REMOTE_TRUST_RESULTS"
    for spelling in ("git_key", "env_name"):
        assert len({getattr(setting, spelling).lower() for setting in SETTINGS.values()}) == len(SETTINGS)


def test_git_keys_are_found_whatever_their_case(tmp_path):
    found = settings(tmp_path, git_config={"regen.CACHEDIR": ("/big/cache", "file:x", "local")})
    assert found.get("cacheDir") == "/big/cache"


def test_home_is_that_of_the_environment_given(tmp_path):
    found = settings(tmp_path, environ=HOME, git_config=git(regen_keepdir="~/keep"), user='cacheDir = "~/c"')
    assert (found.get("keepDir"), found.get("cacheDir")) == ("/home/ada/keep", "/home/ada/c")


@pytest.mark.parametrize("bad", ["cache", "./cache", "", "$HOME/cache"])
def test_a_relative_store_is_refused(tmp_path, bad):
    found = settings(tmp_path, environ=HOME, git_config=git(regen_cachedir=bad))
    with pytest.raises(InvalidError, match="absolute path"):
        found.get("cacheDir")


def test_an_empty_variable_is_not_set(tmp_path):
    assert settings(tmp_path, environ={**HOME, "REGEN_LINK": ""}).get("link") == "copy"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"environ": {"REGEN_LINK": "softlink"}}, "REGEN_LINK in the environment is 'softlink', not one of copy, hardlink, hardlink!"),
        ({"git_config": git(regen_checkoutwait="soon")}, "regen.checkoutWait in git config .file:.git/config. is 'soon', not a duration"),
        ({"user": "jobs = 0"}, "config.toml is 0, not a whole number"),
        ({"user": "[push]\nauto = 1.5"}, "push.auto in .* is 1.5, not true or false"),
        ({"user": "[spare]\nlimit = true"}, "is True, not a size"),
        ({"user": "budget = nan"}, "is nan, not an amount in dollars"),
        ({"user": "link = ['copy']"}, "not one of copy"),
        ({"project": "[checkout]\nmissing = 'fetch!'"}, "checkout.missing in regen.toml is 'fetch!', not one of regenerate, fetch, leave"),
        ({"cli": {"gc.grace": "-3d"}}, "gc.grace from command line is '-3d', not a duration"),
        ({"user": "checkout = 3"}, "checkout is 3, not a table"),
    ],
)
def test_a_bad_value_is_named_with_its_origin_and_what_would_do(tmp_path, given, words):
    found = settings(tmp_path, **{"environ": HOME, **given})
    with pytest.raises(InvalidError, match=words):
        found.all()


def test_typed_values(tmp_path):
    user = "jobs = 3\nbudget = 2.5\n[push]\nauto = false\n[spare]\nlimit = 1000\n[gc]\nbudget = '50GB'\n"
    found = settings(tmp_path, environ=HOME, user=user, git_config=git(regen_gcauto="yes"))
    values = {name: value for name, value, _ in found.all()}
    assert values["jobs"] == 3 and values["budget"] == 2.5 and values["push.auto"] is False
    assert values["spare.limit"] == 1000 and values["gc.budget"] == 50 * 10**9 and values["gc.auto"] is True


def test_all_names_every_setting_with_its_origin(tmp_path):
    rows = settings(tmp_path, environ={**HOME, "REGEN_JOBS": "2"}).all()
    assert [name for name, _, _ in rows] == sorted(SETTINGS)
    assert ("jobs", 2, "REGEN_JOBS in the environment") in rows


def test_every_default_survives_being_written():
    for setting in SETTINGS.values():
        if setting.default is not None:
            assert parse_setting(setting, format_setting(setting, setting.default)) == setting.default


def test_a_setting_that_is_none(tmp_path):
    with pytest.raises(UsageError, match="linc"):
        settings(tmp_path, cli={"linc": "copy"})
    assert settings(tmp_path, environ=HOME, cli={"link": None}).get("link") == "copy"


# ---------------------------------------------------------------- a repository's word


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('link = "hardlink!"', "link"),
        ('cacheDir = "/tmp/x"', "cacheDir"),
        ('keepDir = "/tmp/x"', "keepDir"),
        ("[trust]\nall = true", "trust"),
        ("[credentials]\nkey = 'x'", "credentials"),
        ("[roots]\nplates = '/etc'", "roots"),
        ("[remotes.evil]\nurl = 's3://x'", "remotes"),
        ("[remote]\ntrustResults = 'all'", "remote.trustResults"),
        ("[gc]\ngrace = '0'", "gc.grace"),
        ("[push]\nauto = true", "push.auto"),
        ("budget = 1000", "budget"),
        ('"\\u006cink" = "hardlink"', "link"),
    ],
)
def test_a_repository_cannot_set_what_is_the_users(tmp_path, text, key):
    found = settings(tmp_path, environ=HOME, project=text)
    with pytest.raises(InvalidError, match=f"regen.toml: {key} is for the user to set") as caught:
        found.all()
    assert caught.value.field == key


def test_what_a_repository_cannot_set_has_no_effect_before_anybody_complains(tmp_path):
    found = settings(tmp_path, environ=HOME, project='link = "hardlink!"\ncacheDir = "/tmp/x"')
    assert found.get("link") == "copy"
    assert found.get("cacheDir") == "/home/ada/.cache/regen-vcs"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xff\xfe[checkout]", "not UTF-8"),
        (b"checkout = \x00", "regen.toml: "),
        (b"[checkout", "regen.toml: Expected"),
        (b"#" * (1 << 20) + b"\ncheckout.wait = '1s'", "larger than 1 MiB"),
        (b"checkout = " + b"[" * 100_000, "nested too deeply"),
        (b"checkout.wait = '1s'\ncheckout.wait = '2s'\n", "line 2"),
    ],
)
def test_a_regen_toml_that_is_none(tmp_path, data, words):
    found = Settings(environ=HOME, user_config_path=str(tmp_path / "none"), load_project=lambda: data)
    with pytest.raises(InvalidError, match=words):
        found.all()


# ---------------------------------------------------------------- the other tables


def test_roots_come_from_the_user(tmp_path):
    found = settings(tmp_path, environ=HOME, user='[roots]\nplates = "/mnt/plates"\nhome = "~/p"')
    assert found.roots() == {"plates": "/mnt/plates", "home": "/home/ada/p"}
    with pytest.raises(InvalidError, match=r"roots\.plates"):
        settings(tmp_path, environ=HOME, user='[roots]\nplates = "plates"').roots()


def test_remotes_come_from_git_config(tmp_path):
    config = {
        "regen.remote.Store.v2.url": ("s3://bucket/x", "file:x", "local"),
        "regen.remote.Store.v2.durable": ("true", "file:x", "local"),
        "regen.remotetrustresults": ("all", "file:x", "local"),
    }
    found = settings(tmp_path, environ=HOME, git_config=config, project='[suggestedRemotes.x]\nurl = "s3://y"')
    assert found.remotes() == {"Store.v2": {"url": "s3://bucket/x", "durable": "true"}}
    assert found.get("remote.trustResults") == "all"


def test_defaults_of_generate_the_users_over_the_repositorys(tmp_path):
    project = '[defaults]\ngenerator = "texture"\n[defaults.models]\ncheckpoint = "sdxl"\nvae = "fp16"'
    found = settings(tmp_path, environ=HOME, project=project, user='[defaults.models]\ncheckpoint = "sd35"')
    assert found.get("defaults.generator") == "texture"
    assert found.defaults("models") == {"checkpoint": "sd35", "vae": "fp16"}
    assert found.defaults("params") == {}


def test_unknown_names_are_told_not_refused(tmp_path):
    found = settings(
        tmp_path,
        environ={**HOME, "REGEN_CACHDIR": "/x", "REGEN_ACTIVE": "1", "REGEN_LINK": "copy"},
        git_config={**git(regen_lnk="copy", regen_uuid="u", regen_link="copy"), "regen.remote.a.url": ("x", "file:y", "local")},
    )
    assert found.unknown() == [("REGEN_CACHDIR", "the environment"), ("regen.lnk", "git config (file:.git/config)")]


def test_check_finds_unknown_keys_in_both_files(tmp_path):
    settings(tmp_path, environ=HOME, user="jobs = 2", project="[checkout]\nwait = '1s'").check()
    with pytest.raises(InvalidError, match=r"config.toml:1: jbos .*") as caught:
        settings(tmp_path, environ=HOME, user="jbos = 2").check()
    assert caught.value.hint == "did you mean jobs?"


# ---------------------------------------------------------------- folders and the hot path


@pytest.mark.skipif(sys.platform != "linux", reason="XDG folders are Linux's")
@pytest.mark.parametrize("xdg", [{}, {"XDG_CACHE_HOME": "/x/c", "XDG_CONFIG_HOME": "/x/f", "XDG_DATA_HOME": "/x/d"}])
def test_the_folders_are_those_of_platformdirs(monkeypatch, xdg):
    import platformdirs

    environ = {"HOME": "/home/ada", **xdg}
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert cache_dir(environ) == platformdirs.user_cache_dir("regen-vcs")
    assert data_dir(environ) == platformdirs.user_data_dir("regen-vcs")
    assert config_dir(environ) == platformdirs.user_config_dir("regen-vcs")


def test_the_configuration_folder_can_be_moved(tmp_path):
    assert config_dir({"REGEN_CONFIG_DIR": str(tmp_path)}) == str(tmp_path)
    with pytest.raises(InvalidError, match="REGEN_CONFIG_DIR"):
        config_dir({"REGEN_CONFIG_DIR": "here"})
    (tmp_path / "config.toml").write_text("jobs = 7")
    assert Settings(environ={"REGEN_CONFIG_DIR": str(tmp_path)}).get("jobs") == 7


def test_a_hook_reads_its_settings_without_heavy_imports(tmp_path):
    """tomllib (26 ms) and platformdirs (30 ms) stay out where no file mentions the setting."""
    (tmp_path / "config.toml").write_text("jobs = 2\n")
    script = """
import sys
from regen_vcs.engine.config import Settings
project = b'[generators.up]\\nuses = "command"\\nargv = ["x"]\\n'
found = Settings({}, {"HOME": "/h", "REGEN_CONFIG_DIR": sys.argv[1]}, {}, load_project=lambda: project)
for name in ("cacheDir", "keepDir", "link", "spare.limit", "checkout.missing", "checkout.wait"):
    found.get(name)
found.roots()
heavy = {"tomllib", "platformdirs", "pydantic", "typing", "pathlib", "dataclasses"} & set(sys.modules)
assert not heavy, heavy
assert found.get("jobs") == 2 and "tomllib" in sys.modules
"""
    run = subprocess.run([sys.executable, "-I", "-c", script, str(tmp_path)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_every_setting_is_documented():
    text = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
    for setting in SETTINGS.values():
        row = next((line for line in text.splitlines() if line.startswith(f"| `{setting.name}` |")), None)
        assert row, f"{setting.name} is not in docs/configuration.md"
        assert setting.git_key in row and setting.env_name in row, row
        default = format_setting(setting, setting.default)
        assert not default or f"`{default}`" in row, f"{setting.name}: default {default} is not in {row}"


def test_an_unreadable_user_file_is_an_error_of_ours(tmp_path):
    os.mkdir(tmp_path / "config.toml")
    with pytest.raises(InvalidError, match="cannot be read"):
        Settings(environ=HOME, user_config_path=str(tmp_path / "config.toml")).get("jobs")
