"""Remote URLs: what is taken, what is refused, and that nothing secret is ever shown."""

from __future__ import annotations

import pytest

from regen_vcs.errors import InvalidError
from regen_vcs.remote.urls import Address, absolute_url, parse_url, redact


@pytest.mark.parametrize(("url", "address"), [
    ("s3://films", Address("s3", "films", "", {})),
    ("s3://films/a%20b/%C3%A4/", Address("s3", "films", "a b/ä", {})),
    ("s3://films/x?endpoint=http://127.0.0.1:9000&region=auto",
     Address("s3", "films", "x", {"endpoint": "http://127.0.0.1:9000", "region": "auto"})),
    ("gs://films/x", Address("gs", "films", "x", {})),
    ("az://films/x?account=studio", Address("az", "films", "x", {"account": "studio"})),
    ("https://nas.local:8443/films/a%20b", Address("https", "nas.local:8443", "films/a%20b", {})),
    ("http://[::1]:80/", Address("http", "[::1]:80", "", {})),
    ("memory://x", Address("memory", "x", "", {})),
    ("file:///srv/a b/ä/100%25?x#y", Address("file", "/srv/a b/ä/100%25?x#y", "", {})),
    ("file://localhost/srv", Address("file", "/srv", "", {})),
    ("file:/srv/x/", Address("file", "/srv/x", "", {})),
    ("/srv/me@home: films", Address("file", "/srv/me@home: films", "", {})),
    ("S3://films", Address("s3", "films", "", {})),
])
def test_taken(url, address):
    assert parse_url(url) == address


@pytest.mark.parametrize("url", [
    "", "s3://", "s3:films", "ftp://host/x", "https://", "s3://films/../x", "https://host/%2e%2e/x", "s3://films/a//b",
    "s3://films?colour=red", "s3://films#x", "https://host/x?y=1", "s3://films?anonymous=yes", "s3://films?endpoint=ftp://x",
    "https://host:port/x", "file://server/share", "file://", "s3://films\nx", "/srv/x\0", "s3://films?addressing=odd", "javascript:alert(1)",
])
def test_refused(url):
    with pytest.raises(InvalidError):
        parse_url(url)


@pytest.mark.parametrize("url", [
    "s3://AKIDEXAMPLE:Secret/Of+Mine@films/x", "s3://AKIDEXAMPLE:SecretOfMine/films", "s3://SecretOfMine@films", "https://me:SecretOfMine@host/x",
    "https://SecretOfMine@host/x", "s3://films?secret_access_key=SecretOfMine", "s3://films?region=x&aws_session_token=SecretOfMine",
    "az://films?sig=SecretOfMine&account=x", "az://films?sas=SecretOfMine", "s3://films?endpoint=http://me:SecretOfMine@host",
    "s3://films?endpoint=http://host/?token=SecretOfMine", "gs://films?password=SecretOfMine", "https://me%40SecretOfMine@host/",
    "s3://films?X-Amz-Signature=SecretOfMine", "ftp://me:SecretOfMine@host", "https://host/?SecretOfMine=1&key=SecretOfMine",
])
def test_secrets_are_refused_and_not_shown(url):
    with pytest.raises(InvalidError) as caught:
        parse_url(url)
    shown = f"{caught.value.what} {caught.value.hint}"
    assert "=SecretOfMine" not in shown and "Secret/Of" not in shown and ":SecretOfMine" not in shown and "SecretOfMine@" not in shown
    assert "SecretOfMine" not in redact(url) or "SecretOfMine=" in redact(url) or url.startswith("s3://AKIDEXAMPLE:SecretOfMine/")


def test_a_relative_path_is_kept_absolute():
    assert absolute_url("../störe x", "/home/me/film") == "/home/me/störe x"
    assert absolute_url("s3://films/x", "/home/me") == "s3://films/x"
    with pytest.raises(InvalidError):
        absolute_url("s3://me:x@films", "/home/me")
