"""What obstore's errors mean, in this project's words. Its own texts are never shown: they quote URLs and answers."""

from __future__ import annotations

import re

from obstore.exceptions import NotSupportedError, PermissionDeniedError, UnauthenticatedError

from regen_vcs.remote.base import Refused
from regen_vcs.remote.bucket import Silence, Transient

_STATUS = re.compile(r"non-2xx status code: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z0-9.]{1,64})</Code>")
_ASKED = re.compile(r"Error performing [A-Z]+ (?:https?://)?([^/\s]+)")
# Hosts that give out credentials to machines in a cloud; elsewhere they are asked when nothing else was found.
_CREDENTIAL_HOSTS = ("169.254.169.254", "169.254.170.2", "[fd00:ec2::254]", "metadata.google.internal", "metadata")
_NO_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound|bucket does not exist|No such bucket|container does not exist", re.IGNORECASE)
_FULL = ("QuotaExceeded", "XMinioStorageFull", "StorageFull", "InsufficientStorage", "AccountStorageLimitExceeded")
_SIGNING = ("SignatureDoesNotMatch", "InvalidAccessKeyId", "ExpiredToken", "InvalidToken", "AuthenticationFailed", "AuthorizationFailure", "TokenRefreshRequired")
_REGION = ("AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException")
_REFUSED_FOR = 1.0  # seconds: a server that is starting again is back by then


class NotPartial(Exception):
    """A range was asked for, and the answer is none."""


def translate(error: Exception, where: str, doing: str, *, bucket_missing: bool = False) -> Exception | None:
    """The error to raise for one of obstore's; None for an object that is not there.

    doing: "reading", "writing", "listing", "removing". bucket_missing: nothing else can be missing.
    """
    text = str(error)
    status = int(match[1]) if (match := _STATUS.search(text)) else None
    code = match[1] if (match := _CODE.search(text)) else ""
    if (asked := _ASKED.search(text)) and asked[1].partition(":")[0] in _CREDENTIAL_HOSTS:
        return Refused(f"remote {where}: no credentials were found", "docs/remotes.md: where each provider looks for them")
    if _NO_BUCKET.search(text) or bucket_missing:
        return Refused(f"remote {where}: {doing}: there is no such bucket", "make it with the provider's own tools, or mend the URL")
    if isinstance(error, FileNotFoundError) or status == 404:
        return None if doing != "listing" else Refused(f"remote {where}: there is nothing to list", "look at its URL")
    if "NotPartial" in text:
        return NotPartial()
    if status is None:
        return _without_status(error, text, where, doing)
    return _with_status(status, code, where, doing)


def _without_status(error: Exception, text: str, where: str, doing: str) -> Exception:
    if isinstance(error, PermissionDeniedError | UnauthenticatedError | PermissionError):
        return Refused(f"remote {where}: {doing}: permission denied", _credentials_hint(where))
    if isinstance(error, NotSupportedError | NotImplementedError):
        return Refused(f"remote {where}: {doing}: it cannot do that")
    if "certificate" in text.lower():
        return Refused(f"remote {where}: the server's certificate is not trusted", "SSL_CERT_FILE names the file with your own authority's certificate")
    if "kind: Timeout" in text or "TimedOut" in text:
        return Silence()
    if "kind: Connect" in text:
        return Transient("it refuses connections, or its name is unknown", for_seconds=_REFUSED_FOR)
    if "redential" in text:
        return Refused(f"remote {where}: no credentials were found", "docs/remotes.md: where each provider looks for them")
    return Transient("a transfer broke")


def _with_status(status: int, code: str, where: str, doing: str) -> Exception:
    said = f"{status} {code}".strip()
    if status == 507 or code in _FULL:
        return Refused(f"remote {where}: {doing}: it is full ({said})", "free some space there, or raise the quota")
    if code in _REGION or status in (301, 307):
        return Refused(f"remote {where}: {doing}: the bucket is in another region ({said})", "add ?region=… to its URL, or set AWS_REGION")
    if status in (408, 429) or code in ("SlowDown", "RequestTimeout") or status >= 500:
        return Transient(f"it answers {said}")
    if status in (401, 403):
        wrong = "the credentials are not accepted" if code in _SIGNING or status == 401 else "permission denied"
        return Refused(f"remote {where}: {doing}: {wrong} ({said})", _credentials_hint(where))
    return Refused(f"remote {where}: {doing}: the server says no ({said})", f"regen-vcs remote check {where}")


def _credentials_hint(where: str) -> str:
    return f"look at the provider's credentials and the rights they give (docs/remotes.md), then: regen-vcs remote check {where}"
