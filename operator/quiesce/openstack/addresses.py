"""PURE. Addresses and IDs that come from outside, before they become part of a request."""

import re
from ipaddress import IPv6Address
from urllib.parse import urlsplit

from quiesce.api.errors import CloudUnreachable

_LONGEST = 2048
_PLAIN = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?)",
    re.ASCII,
)
_PORTS = {"http": 80, "https": 443}
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)


def address_fault(url: str) -> str | None:
    """What is wrong with the address of a service, so that it can be corrected; None: nothing.

    Only http and https, a host, a port and plain names as the path: no user name or password,
    query or fragment, and nothing that a client replaces (`%(project_id)s`, `{region_name}`).
    """
    if len(url) > _LONGEST:
        return f"is longer than {_LONGEST} characters"
    found = _PLAIN.fullmatch(url)
    if found is not None and int(found["port"] or 1) in range(1, 65536) and _is_host(found["host"]):
        return None
    if not re.match(r"https?://", url):
        return "is not an http or https address"
    if "@" in url:
        return "has a user name or a password in it: remove that part"
    if "?" in url or "#" in url:
        return "has a query or a fragment: remove everything from '?' or '#' on"
    return "is not a plain address: use http(s)://HOST:PORT/PATH"


def _is_host(host: str) -> bool:
    """What is in brackets is an IPv6 address."""
    if not host.startswith("["):
        return True
    try:
        return bool(IPv6Address(host[1:-1]))
    except ValueError:
        return False


def origin(url: str) -> tuple[str, str, int]:
    """(scheme, host, port) of an address without fault."""
    parts = urlsplit(url)
    port = parts.port or _PORTS[parts.scheme]
    return parts.scheme, (parts.hostname or "").rstrip("."), port


def is_id(value: object) -> bool:
    """Whether a cloud's ID of something may become a part of a path: a UUID, a number or a word.

    Nothing that leads to another path: no dot, slash, percent sign, query or white space.
    """
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def path(*parts: str) -> str:
    """The path of a request: words of the API and IDs. Raises CloudUnreachable for anything else.

    IDs come from what a cloud has answered: none of them leads to another path.
    """
    if not all(map(is_id, parts)):
        raise CloudUnreachable("OpenStack gave an ID that is none: nothing is asked about it")
    return "/" + "/".join(parts)
