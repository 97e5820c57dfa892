"""Remote URLs: what each may say, and that none carries a secret. Pure: nothing is opened, nothing looked up.

    s3://bucket/prefix?endpoint=https://…&region=…&profile=…&addressing=path|virtual&anonymous=true
    gs://bucket/prefix?endpoint=…&anonymous=true
    az://container/prefix?account=…&endpoint=…&anonymous=true
    https://host:port/folder           file:///folder, /folder           memory://name

A file URL is its path as it is: no percent escapes, no query.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from regen_vcs.errors import InvalidError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")  # two letters at least: one is a drive
_QUERY = {
    "s3": {"endpoint", "region", "profile", "addressing", "anonymous"},
    "gs": {"endpoint", "anonymous"},
    "az": {"account", "endpoint", "anonymous"},
    "http": set(),
    "https": set(),
}
_SECRET = re.compile(r"key|secret|token|passw|signature|credential|^sig$|^sas$|^sv$|^se$|auth", re.IGNORECASE)
_CHAIN = {
    "s3": "AWS's own places hold them: the environment, ~/.aws/credentials, the machine's role",
    "gs": "Google's own places hold them: GOOGLE_APPLICATION_CREDENTIALS, gcloud auth application-default login",
    "az": "Azure's own places hold them: AZURE_STORAGE_ACCOUNT_KEY, az login, a managed identity",
    "http": "~/.netrc holds them",
    "https": "~/.netrc holds them",
}


class Address(NamedTuple):
    """A URL taken apart. place: bucket, container, host[:port], folder or name. prefix: POSIX, without slashes around it."""

    scheme: str
    place: str
    prefix: str
    options: dict[str, str]


def parse_url(url: str) -> Address:
    """InvalidError, with no secret in its words, for what is no remote's URL."""
    if not url or any(ord(letter) < 32 or ord(letter) == 127 for letter in url):
        raise InvalidError(f"{redact(url)!r}: not a remote's URL")
    match = _SCHEME.match(url)
    scheme = match[1].lower() if match else "file"
    if scheme == "file":
        return Address("file", _file_path(url[len("file:") :] if match else url), "", {})
    if scheme == "memory":
        return Address("memory", url.partition("://")[2], "", {})
    if scheme not in _QUERY:
        raise InvalidError(
            f"{redact(url)}: {scheme}: is no kind of remote",
            "s3://, gs://, az://, https://, http://, file:// or a path",
        )
    return _parse_server(url, scheme)


def _parse_server(url: str, scheme: str) -> Address:
    shown = redact(url)
    try:
        parts = urlsplit(url)
        port_is_a_number = parts.port != 0
    except ValueError:  # its words would quote what may be a password
        port_is_a_number = False
    if "@" in url.partition("?")[0] or not port_is_a_number or (scheme not in ("http", "https") and ":" in parts.netloc):
        raise InvalidError(f"{scheme}://…: a {_noun(scheme)} is meant; credentials do not belong into a URL", _CHAIN[scheme])
    if not parts.netloc or parts.fragment:
        raise InvalidError(f"{shown}: {'a fragment means nothing here' if parts.fragment else 'names no ' + _noun(scheme)}")
    options = _options(parts.query, scheme, shown)
    prefix = parts.path.strip("/") if scheme in ("http", "https") else unquote(parts.path).strip("/")
    if any(part in ("", ".", "..") for part in unquote(prefix).split("/")) and prefix:
        raise InvalidError(f"{shown}: {parts.path} is not a plain path")
    return Address(scheme, parts.netloc, prefix, options)


def _noun(scheme: str) -> str:
    return {"s3": "bucket", "gs": "bucket", "az": "container"}.get(scheme, "host")


def _options(query: str, scheme: str, shown: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name, value in options.items():
        if _SECRET.search(name):
            raise InvalidError(f"{shown}: credentials do not belong into a URL ({name})", _CHAIN[scheme])
        if name not in _QUERY[scheme]:
            known = ", ".join(sorted(_QUERY[scheme])) or "none"
            raise InvalidError(f"{shown}: {name} is not known here", f"what may stand after the ?: {known}")
        _check_option(name, value, shown, scheme)
    return options


def _check_option(name: str, value: str, shown: str, scheme: str) -> None:
    if name == "endpoint":
        parts = urlsplit(value)
        if "@" in parts.netloc or parts.query:
            raise InvalidError(f"{shown}: credentials do not belong into a URL (endpoint)", _CHAIN[scheme])
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise InvalidError(f"{shown}: endpoint is not an http:// or https:// URL")
    elif name == "anonymous" and value not in ("true", "false"):
        raise InvalidError(f"{shown}: anonymous is true or false")
    elif name == "addressing" and value not in ("path", "virtual"):
        raise InvalidError(f"{shown}: addressing is path or virtual")


def _file_path(path: str) -> str:
    """The folder of `file:…` without that, or of a path given as it is; absolute."""
    if path.startswith("//"):
        host, slash, rest = path[2:].partition("/")
        if host not in ("", "localhost"):
            raise InvalidError(f"file://{host}/…: a file remote is a folder of this machine", "file:/// with three slashes, or mount it")
        path = slash + rest
    if re.match(r"/[A-Za-z]:[/\\]", path):  # file:///C:/store
        path = path[1:]
    if not path:
        raise InvalidError("file://: names no folder", "file:///srv/store, or the path as it is")
    return os.path.abspath(path)


def absolute_url(url: str, folder: str) -> str:
    """The URL to keep for what the user typed in `folder`: a relative path becomes absolute. InvalidError as parse_url."""
    if _SCHEME.match(url):
        parse_url(url)
        return url
    path = parse_url(os.path.join(folder, url)).place
    return path


def redact(url: str) -> str:
    """A URL that can be shown: without user, password, and the values of all that looks like a secret."""
    url = re.sub(r"(?<=//)[^?#&]*(@|%40)", "…@", url, flags=re.IGNORECASE)  # to the last one: secrets may have slashes
    return re.sub(r"([?&;])([^=&;]*)=([^&;]*)", _redact_option, url)


def _redact_option(match: re.Match) -> str:
    known = match[2] in {"endpoint", "region", "profile", "addressing", "anonymous", "account"}
    value, question, _ = match[3].partition("?")
    return f"{match[1]}{match[2]}=" + (value + ("?…" if question else "") if known else "…")
