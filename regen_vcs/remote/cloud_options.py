"""A provider's store with the options of a URL and of the environment. Credentials come from the provider's own chain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from regen_vcs.remote.aws_profile import Profile, read_profile
from regen_vcs.remote.base import Refused
from regen_vcs.remote.urls import Address

_S3_FROM_ENVIRONMENT = {
    "access_key_id": ("AWS_ACCESS_KEY_ID",),
    "secret_access_key": ("AWS_SECRET_ACCESS_KEY",),
    "session_token": ("AWS_SESSION_TOKEN",),
    "region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
    "endpoint": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
}
_GS_FROM_ENVIRONMENT = {
    "service_account": ("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH"),
    "service_account_key": ("GOOGLE_SERVICE_ACCOUNT_KEY",),
    "application_credentials": ("GOOGLE_APPLICATION_CREDENTIALS",),
    "base_url": ("STORAGE_EMULATOR_HOST",),
}
_AZ_FROM_ENVIRONMENT = {
    "account_name": ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"),
    "account_key": ("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCESS_KEY"),
    "sas_key": ("AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY"),
    "tenant_id": ("AZURE_TENANT_ID",),
    "client_id": ("AZURE_CLIENT_ID",),
    "client_secret": ("AZURE_CLIENT_SECRET",),
    "endpoint": ("AZURE_STORAGE_ENDPOINT",),
}


def open_store(address: Address, where: str, environ: Mapping[str, str], client: dict[str, dict]):
    """The obstore store for an address; nothing is asked of it yet.

    client: `client_options` and `retry_config`. Refused where the options do not fit, with no secret in its words.
    """
    make = {"s3": _open_s3, "gs": _open_gs, "az": _open_az}[address.scheme]
    trusted = environ.get("AWS_CA_BUNDLE") or environ.get("SSL_CERT_FILE")
    try:
        if trusted:
            with open(trusted, "rb") as file:
                client["client_options"]["root_certificate"] = file.read()
        return make(address, where, environ, client)
    except (BaseError, OSError, ValueError, TypeError) as error:
        raise Refused(
            f"remote {where}: its settings are not complete or do not fit ({type(error).__name__})",
            "docs/remotes.md: what each kind of remote needs",
        ) from error


def _open_s3(address: Address, where: str, environ: Mapping[str, str], client: dict[str, dict]):
    options = address.options
    config = _from_environment(_S3_FROM_ENVIRONMENT, environ)
    profile = read_profile(options.get("profile"), environ, where)
    provider = None
    if options.get("anonymous") == "true":
        config["skip_signature"] = True
    elif "profile" in options or not _is_complete(config):
        provider = _use_profile(config, profile, where)
    config.setdefault("region", profile.region or "us-east-1")
    if profile.endpoint:
        config.setdefault("endpoint", profile.endpoint)
    config |= {name: options[name] for name in ("region", "endpoint") if name in options}
    config["virtual_hosted_style_request"] = _is_virtual(config, address)
    if "endpoint" in config and config["virtual_hosted_style_request"]:
        config["endpoint"] = _with_bucket(config["endpoint"], address.place)
    if provider is not None:
        return S3Store(address.place, prefix=address.prefix or None, config=config, credential_provider=provider, **client)
    return S3Store(address.place, prefix=address.prefix or None, config=config, **client)


def _is_virtual(config: dict[str, Any], address: Address) -> bool:
    """AWS itself wants the bucket in the host's name, where its certificate allows that; servers of one's own seldom do."""
    addressing = address.options.get("addressing")
    return addressing == "virtual" if addressing else "endpoint" not in config and "." not in address.place


def _with_bucket(endpoint: str, bucket: str) -> str:
    scheme, _, rest = endpoint.partition("://")
    return f"{scheme}://{bucket}.{rest}"


def _use_profile(config: dict[str, Any], profile: Profile, where: str):
    """A profile's keys into the configuration; a provider where only boto3 can get them; None: obstore's own chain."""
    if profile.access_key_id and profile.secret_access_key:
        config |= {"access_key_id": profile.access_key_id, "secret_access_key": profile.secret_access_key}
        config.pop("session_token", None)
        if profile.session_token:
            config["session_token"] = profile.session_token
        return None
    if not profile.needs_sdk:
        return None
    try:
        from boto3 import Session
        from obstore.auth.boto3 import Boto3CredentialProvider

        return Boto3CredentialProvider(Session(profile_name=profile.name))
    except ImportError:
        raise Refused(
            f"remote {where}: the AWS profile {profile.name} signs in by {profile.needs_sdk}, which needs boto3",
            'pip install boto3, or: eval "$(aws configure export-credentials --format env)"',
        ) from None
    except Exception as error:  # botocore's own tree: an expired sign-in, a command that failed
        raise Refused(f"remote {where}: the AWS profile {profile.name} gives no credentials ({type(error).__name__})", "aws sso login") from error


def _is_complete(config: Mapping[str, Any]) -> bool:
    return bool(config.get("access_key_id") and config.get("secret_access_key"))


def _open_gs(address: Address, where: str, environ: Mapping[str, str], client: dict[str, dict]):
    config = _from_environment(_GS_FROM_ENVIRONMENT, environ)
    if "endpoint" in address.options:
        config["base_url"] = address.options["endpoint"]
    elif "base_url" in config and "://" not in config["base_url"]:
        config["base_url"] = f"http://{config['base_url']}"
    if address.options.get("anonymous") == "true":
        config = {name: value for name, value in config.items() if name == "base_url"} | {"skip_signature": True}
    return GCSStore(address.place, prefix=address.prefix or None, config=config, **client)


def _open_az(address: Address, where: str, environ: Mapping[str, str], client: dict[str, dict]):
    config = _from_environment(_AZ_FROM_ENVIRONMENT, environ)
    if "account" in address.options:
        config["account_name"] = address.options["account"]
    if "endpoint" in address.options:
        config["endpoint"] = address.options["endpoint"]
    if address.options.get("anonymous") == "true":
        config = {name: value for name, value in config.items() if name in ("account_name", "endpoint")} | {"skip_signature": True}
    if "account_name" not in config:
        raise Refused(f"remote {where}: which Azure account holds {address.place}?", "add ?account=NAME to its URL, or set AZURE_STORAGE_ACCOUNT_NAME")
    if environ.get("AZURE_USE_AZURE_CLI", "").lower() in ("1", "true"):
        config["use_azure_cli"] = True
    return AzureStore(address.place, prefix=address.prefix or None, config=config, **client)


def _from_environment(names: Mapping[str, tuple[str, ...]], environ: Mapping[str, str]) -> dict[str, Any]:
    found = {option: next((environ[each] for each in variables if environ.get(each)), None) for option, variables in names.items()}
    return {option: value for option, value in found.items() if value}
