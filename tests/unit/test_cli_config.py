"""`config`: every value, and where it comes from."""

from __future__ import annotations

import json


def test_every_setting_with_its_origin(project):
    project.env["REGEN_JOBS"] = "3"
    project.git("config", "regen.link", "hardlink")
    text = project.regen("config").stdout
    lines = {line.split()[0]: line for line in text.splitlines()}
    assert "3" in lines["jobs"] and "REGEN_JOBS in the environment" in lines["jobs"]
    assert "hardlink" in lines["link"] and "regen.link in git config (file:.git/config)" in lines["link"]
    assert "regen.toml" in lines["checkout.wait"] and "30s" in lines["checkout.wait"]
    assert lines["budget"].split()[1:3] == ["(not", "set)"]
    assert "default" in lines["spare.limit"]


def test_one_value_for_scripts(project):
    assert project.regen("config", "checkout.wait").stdout == "30s\n"
    assert project.regen("config", "regen.checkoutwait").stdout == "30s\n"
    assert json.loads(project.regen("config", "checkout.wait", "--json").stdout) == {
        "name": "checkout.wait", "value": 30.0, "origin": "checkout.wait in regen.toml",
    }


def test_a_name_that_is_no_setting(project):
    done = project.regen("config", "chekout.wait", check=False)
    assert done.returncode == 2 and "did you mean checkout.wait?" in done.stderr


def test_json_has_roots_and_what_nobody_knows(project):
    config = project.user.base / "config" / "config.toml"
    config.parent.mkdir(exist_ok=True)
    config.write_text('link = "hardlink"\n[roots]\nplates = "/mnt/plates"\n')
    project.git("config", "regen.lnk", "copy")
    project.env["REGEN_NOBODY"] = "1"
    found = json.loads(project.regen("config", "--json").stdout)
    settings = {each["name"]: each for each in found["settings"]}
    assert settings["link"]["value"] == "hardlink" and str(config) in settings["link"]["origin"]
    assert found["roots"] == {"plates": "/mnt/plates"} and found["user_file"] == str(config)
    assert {each["name"] for each in found["unknown"]} == {"regen.lnk", "REGEN_NOBODY"}
    done = project.regen("config")
    assert "@plates" in done.stdout and "warning: regen.lnk" in done.stderr


def test_a_value_that_does_not_fit_names_its_place(project):
    project.git("config", "regen.link", "sideways")
    done = project.regen("config", check=False)
    assert done.returncode == 3 and "regen.link in git config" in done.stderr and "hint:" in done.stderr
    project.git("config", "--unset", "regen.link")
    project.write("regen.toml", b'[checkout]\nwiat = "3s"\n')
    done = project.regen("config", "--json", check=False)
    assert done.returncode == 3 and "wiat" in json.loads(done.stdout)["error"]["what"]
