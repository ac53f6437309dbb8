"""PURE. What a drain reads of a keyring's status: may cold migrations from its host begin?"""

from collections.abc import Mapping
from typing import Any

from quiesce.api.keyring.status import KeyringRecord


def proven(status: Mapping[str, Any], host: str) -> tuple[bool, str]:
    """Whether cold migrations from `host` may begin, and for people why or why not.

    `status`: of a MigrationKeyring, as JSON. True: the account has logged in from this host to
    every other host that Nova could choose and that the keyring checks, with the key in use, and
    nothing has failed there since.
    """
    record = KeyringRecord.read(status)
    if host in (record.status.proven_hosts or ()):
        summary = record.status.paths.summary if record.status.paths else "?"
        return True, f"paths from {host} are proven ({summary} of the keyring's paths)"
    if row := record.problem_of(host):
        cause = f"{row.reason}: {row.message}"
    else:
        cause = record.status.message or "the keyring was not reconciled yet"
    return False, f"paths from {host} are not proven: {cause}"
