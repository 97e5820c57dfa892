"""What a URL and the environment make of a provider's store: keys from AWS's own files, gs:// and az:// without a cloud."""

from __future__ import annotations

import sys

import pytest

from regen_vcs.remote.aws_profile import read_profile
from regen_vcs.remote.base import Refused
from regen_vcs.remote.cloud import CloudBucket
from regen_vcs.remote.cloud_options import open_store
from regen_vcs.remote.urls import parse_url

KEYS = {"AWS_ACCESS_KEY_ID": "AKENV", "AWS_SECRET_ACCESS_KEY": "secretenv"}


def store_of(url: str, environ: dict[str, str]):
    return open_store(parse_url(url), "films", environ, {"client_options": {"allow_http": True}, "retry_config": {"max_retries": 0}})


@pytest.fixture
def aws(tmp_path):
    """A home with AWS's two files; its environment."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(
        "[default]\naws_access_key_id = AKDEF\naws_secret_access_key = secret/def%\n"
        "[studio]\naws_access_key_id = AKSTU\naws_secret_access_key = secretstu\naws_session_token = token\n"
    )
    (tmp_path / ".aws" / "config").write_text(
        "[default]\nregion = eu-west-1\n[profile studio]\nregion = eu-central-1\nendpoint_url = http://nas:9000\n"
        "[profile sso]\nsso_session = corp\nregion = us-west-2\n[profile role]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = default\n"
    )
    return {"HOME": str(tmp_path)}


def test_keys_from_the_environment(aws):
    config = store_of("s3://films/x", {**aws, **KEYS, "AWS_SESSION_TOKEN": "t", "AWS_REGION": "ap-east-1"}).config
    assert config["access_key_id"] == "AKENV" and config["session_token"] == "t" and config["region"] == "ap-east-1"
    assert str(config["virtual_hosted_style_request"]) == "true" and "endpoint" not in config


def test_keys_from_the_default_profile(aws):
    config = store_of("s3://films/x", aws).config
    assert (config["access_key_id"], config["secret_access_key"], config["region"]) == ("AKDEF", "secret/def%", "eu-west-1")


@pytest.mark.parametrize("how", ["environment", "url"])
def test_keys_from_a_named_profile(aws, how):
    """As in AWS's own tools: a profile that a call names outranks keys in the environment, AWS_PROFILE does not."""
    if how == "url":
        config = store_of("s3://films/x?profile=studio", {**aws, **KEYS}).config
    else:
        config = store_of("s3://films/x", {**aws, "AWS_PROFILE": "studio"}).config
        assert store_of("s3://films/x", {**aws, **KEYS, "AWS_PROFILE": "studio"}).config["access_key_id"] == "AKENV"
    assert (config["access_key_id"], config["session_token"]) == ("AKSTU", "token")
    assert (config["region"], config["endpoint"]) == ("eu-central-1", "http://nas:9000")
    assert str(config["virtual_hosted_style_request"]) == "false"


def test_a_profile_that_is_not_there(aws, tmp_path):
    with pytest.raises(Refused, match="no AWS profile nobody"):
        read_profile("nobody", aws, "films")
    assert read_profile(None, {"HOME": str(tmp_path / "empty")}, "films").access_key_id == ""
    (tmp_path / ".aws" / "credentials").write_text("aws_secret_access_key = loose\n")
    with pytest.raises(Refused, match="cannot be read") as caught:
        read_profile(None, aws, "films")
    assert "loose" not in caught.value.what


@pytest.mark.parametrize("profile", ["sso", "role"])
def test_a_profile_that_needs_the_sdk(aws, profile, monkeypatch):
    monkeypatch.setitem(sys.modules, "boto3", None)  # as where it is not installed
    with pytest.raises(Refused, match="needs boto3") as caught:
        store_of(f"s3://films/x?profile={profile}", aws)
    assert "export-credentials" in caught.value.hint


def test_endpoints(aws):
    environ = {**aws, **KEYS, "AWS_ENDPOINT_URL": "http://env:1", "AWS_ENDPOINT_URL_S3": "http://env-s3:2"}
    assert store_of("s3://films/x", environ).config["endpoint"] == "http://env-s3:2"
    url = "s3://films/x?endpoint=http://url:3&region=auto&addressing=virtual"
    config = store_of(url, environ).config
    assert (config["endpoint"], config["region"]) == ("http://films.url:3", "auto")


def test_anonymous(aws):
    config = store_of("s3://films/x?anonymous=true", aws).config
    assert config["skip_signature"] and "access_key_id" not in config
    assert store_of("gs://films/x?anonymous=true", {**aws, "GOOGLE_SERVICE_ACCOUNT_KEY": "{}"}).config["skip_signature"]
    config = store_of("az://films/x?anonymous=true&account=studio", {**aws, "AZURE_STORAGE_ACCOUNT_KEY": "S2V5"}).config
    assert config["skip_signature"] and "account_key" not in config


def test_google(aws, tmp_path):
    config = store_of("gs://films/a/b?anonymous=true", {**aws, "STORAGE_EMULATOR_HOST": "localhost:9023"}).config
    assert config["base_url"] == "http://localhost:9023"
    store = store_of("gs://films/a/b?endpoint=http://127.0.0.1:1&anonymous=true", aws)
    assert store.prefix == "a/b" and store.config["base_url"] == "http://127.0.0.1:1"
    with pytest.raises(Refused, match="settings"):
        store_of("gs://films/x", {**aws, "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "absent.json")})


def test_azure(aws):
    with pytest.raises(Refused, match="which Azure account"):
        store_of("az://films/x", aws)
    environ = {**aws, "AZURE_STORAGE_ACCOUNT_NAME": "studio", "AZURE_STORAGE_ACCOUNT_KEY": "S2V5"}
    assert store_of("az://films/x", environ).config["account_name"] == "studio"
    assert store_of("az://films/x?account=other", environ).config["account_name"] == "other"
    with pytest.raises(Refused, match="settings") as caught:
        store_of("az://films/x", {**environ, "AZURE_STORAGE_ACCOUNT_KEY": "not/base64!"})
    assert "not/base64!" not in f"{caught.value.what}{caught.value.hint}"


def test_a_ca_file_that_is_not_there(aws, tmp_path):
    with pytest.raises(Refused, match="settings"):
        store_of("s3://films/x", {**aws, **KEYS, "AWS_CA_BUNDLE": str(tmp_path / "absent.pem")})


def test_a_bucket_asks_nothing_before_it_is_used(aws):
    bucket = CloudBucket(parse_url("s3://films/x?endpoint=http://127.0.0.1:9"), "films", aws, 1)
    bucket.establish()
    bucket.sweep()
    bucket.close()
