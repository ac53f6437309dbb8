"""PURE: what a keyring's status says about the paths of one host. For drains."""

from collections.abc import Mapping
from typing import Any


def proven(status: Mapping[str, Any], host: str) -> tuple[bool, str]:
    """Whether cold migrations from `host` may begin, and for people why or why not.

    `status`: of a MigrationKeyring, as JSON. True: the account has logged in from this host to every
    other host that the keyring probes, with the key that is in use, and nothing has gone wrong there since.
    """
    if host in (status.get("provenHosts") or ()):
        paths = status.get("paths") or {}
        return (
            True,
            f"paths from {host} are proven ({paths.get('summary', '?')} of the keyring's paths)",
        )
    rows = [row for row in status.get("problems") or () if row.get("host") == host]
    if rows:
        return False, f"paths from {host} are not proven: {rows[0]['reason']}: {rows[0]['message']}"
    return (
        False,
        f"paths from {host} are not proven: {status.get('message') or 'the keyring was not looked at yet'}",
    )
