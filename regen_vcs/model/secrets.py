"""What looks like a secret: names of params that hold one, and texts that have the form of a known kind of key.

A recipe is committed and pushed. What is refused here can be said again on purpose; a key in git's history cannot be
taken back.
"""

from __future__ import annotations

import re

# "maxTokens", "max_tokens", "HF-TOKEN" → their words
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
# One of these anywhere in a name; "token" only at its end: token_limit and max_tokens are counts.
_SECRET_WORDS = frozenset({
    "apikey", "authorization", "bearer", "cookie", "credential", "credentials", "passphrase", "passwd", "password", "pwd",
    "secret", "secrets",
})  # fmt: skip
_SECRET_ENDS = frozenset({"auth", "token"})
_BEFORE_KEY = frozenset({"access", "account", "api", "app", "auth", "client", "license", "private", "secret", "signing"})

# (what it is, its form). Forms that no prompt has by chance.
_FORMS = tuple(
    (what, re.compile(form))
    for what, form in (
        ("an API key", r"\b(?:sk|pk|rk)[-_](?:[A-Za-z0-9]+[-_])*[A-Za-z0-9]{20,}"),
        ("an API key", r"\b(?:AIza[A-Za-z0-9_-]{35}|r8_[A-Za-z0-9]{30,}|key-[a-f0-9]{32})"),
        ("an access token", r"\b(?:gh[opsu]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{40,}|glpat-[A-Za-z0-9_-]{20})"),
        ("an access token", r"\b(?:hf_[A-Za-z0-9]{30,}|xox[abeoprs]-[A-Za-z0-9-]{10,})"),
        ("an access token", r"\bBearer [A-Za-z0-9._~+/-]{20,}"),
        ("a signed token", r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
        ("an access key", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
        ("a private key", r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
        ("a password in a URL", r"://[^\s/:@]+:[^\s/@]+@"),
    )
)


def is_secret_name(name: str) -> bool:
    """Whether a param of this name is likely to hold a secret: api_key, hfToken, password; not max_tokens."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words:
        return False
    if _SECRET_WORDS & set(words) or words[-1] in _SECRET_ENDS:
        return True
    return words[-1] in ("key", "keys") and len(words) > 1 and words[-2] in _BEFORE_KEY


def secret_in_text(text: str) -> str | None:
    """What kind of secret a text holds ("an API key"), or None."""
    return next((what for what, form in _FORMS if form.search(text)), None)


def find_secret(value: object, name: str, allowed: frozenset[str] = frozenset()) -> tuple[str, str] | None:
    """(where, why) of the first likely secret in a JSON value; None for none.

    name: of the value, as in "params.headers"; allowed: names (the last part) that are no secrets here.
    """
    own = name.rpartition(".")[2]
    if own not in allowed and is_secret_name(own) and value not in (None, "", False):
        return name, "its name says that it is a secret"
    if isinstance(value, str):
        what = None if own in allowed else secret_in_text(value)
        return (name, f"holds what looks like {what}") if what else None
    if isinstance(value, dict):
        inner = ((f"{name}.{key}", each) for key, each in value.items())
    elif isinstance(value, list):
        # A list's elements have its name: ["…", "…"] under "tokens_to_send" says nothing new.
        inner = ((name, each) for each in value if isinstance(each, dict | list | str))
    else:
        return None
    return next((found for where, each in inner if (found := find_secret(each, where, allowed))), None)
