"""What a message may show of an address, and of what a library says about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote, urlsplit

_SECRET = re.compile(r"pass|pwd|secret|token|key|credential", re.I)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def shown(url: str) -> str:
    """A URL for messages: without password, and without options, which may hold one."""
    if "://" not in url:
        return url
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return url.partition("://")[0] + "://..."
    user = f"{parts.username}:***@" if parts.password else f"{parts.username}@"
    return f"{parts.scheme}://{user if parts.username else ''}{host}{port}{parts.path}"


def redacted(text: str, url: str = "", options: Mapping[str, str] | None = None) -> str:
    """What a library says, on one line and without the secrets of the URL and the options."""
    options = options or {}
    secrets = {value for key, value in options.items() if _SECRET.search(key)}
    for address in (url, *(value for value in options.values() if "://" in value)):
        secrets |= _secrets_of(address)
    secrets |= {unquote(secret) for secret in secrets}
    for secret in sorted(secrets - {""}, key=len, reverse=True):
        text = text.replace(secret, "***")
    return " ".join(_COLOURS.sub("", text).split())


def _secrets_of(url: str) -> set[str]:
    try:
        parts = urlsplit(url)
        found = {value for key, value in parse_qsl(parts.query) if _SECRET.search(key)}
    except ValueError:
        return {url, url.partition("://")[2]}
    if parts.password or found:
        found |= {parts.password or "", url, url.partition("://")[2]}
    return found
