"""AWS's own files: a profile's keys, region and endpoint. What a profile cannot say by itself is left to boto3."""

from __future__ import annotations

import os
from collections.abc import Mapping
from configparser import ConfigParser, Error
from typing import NamedTuple

from regen_vcs.remote.base import Refused

# Settings of a profile that get credentials from elsewhere, and how that is called.
_NEEDS_SDK = {
    "sso_session": "single sign-on",
    "sso_start_url": "single sign-on",
    "role_arn": "a role",
    "credential_process": "a command",
    "login_session": "the console's sign-in",
    "web_identity_token_file": "a web identity",
}


class Profile(NamedTuple):
    """needs_sdk: by what the profile signs in where it has no keys of its own, else ""."""

    name: str
    access_key_id: str = ""
    secret_access_key: str = ""
    session_token: str = ""
    region: str = ""
    endpoint: str = ""
    needs_sdk: str = ""


def read_profile(name: str | None, environ: Mapping[str, str], where: str) -> Profile:
    """The profile of that name, else of AWS_PROFILE, else `default` (which need not exist).

    Refused for one that was named and is in neither file, and for files that cannot be read.
    """
    named = name or environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE")
    wanted = named or "default"
    home = environ.get("HOME") or os.path.expanduser("~")
    keys = _section(environ.get("AWS_SHARED_CREDENTIALS_FILE") or f"{home}/.aws/credentials", (wanted,), where)
    # In this file all profiles but the default one are called "profile NAME".
    settings = _section(environ.get("AWS_CONFIG_FILE") or f"{home}/.aws/config", (f"profile {wanted}", wanted)[wanted == "default" :], where)
    if named and keys is None and settings is None:
        raise Refused(f"remote {where}: there is no AWS profile {named}", "aws configure list-profiles")
    both = (settings or {}) | (keys or {})
    has_keys = bool(both.get("aws_access_key_id") and both.get("aws_secret_access_key"))
    return Profile(
        wanted,
        both.get("aws_access_key_id", ""),
        both.get("aws_secret_access_key", ""),
        both.get("aws_session_token", ""),
        both.get("region", ""),
        both.get("endpoint_url", ""),
        "" if has_keys else next((words for setting, words in _NEEDS_SDK.items() if setting in both), ""),
    )


def _section(path: str, names: tuple[str, ...], where: str) -> dict[str, str] | None:
    parser = ConfigParser(interpolation=None, strict=False, default_section="")
    try:
        with open(path, encoding="utf-8") as file:
            parser.read_file(file)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, Error, UnicodeDecodeError) as error:  # the parser's own words would quote the file
        raise Refused(f"remote {where}: {path} cannot be read ({type(error).__name__})", f"mend {path}") from error
    return next((dict(parser[name]) for name in names if parser.has_section(name)), None)
