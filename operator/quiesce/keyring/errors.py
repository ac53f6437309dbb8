"""What keeps a whole keyring from its goal; what keeps one host from it is a Failure of its visit."""

from quiesce.api.errors import Terminal


class BadHostAccess(Terminal):
    """The login key or the pinned host keys are missing or cannot be used."""

    reason = "BadHostAccess"


class BadMigrationKey(Terminal):
    """The Secret of the shared key pair holds something else."""

    reason = "BadMigrationKey"


class KeyNotManaged(Terminal):
    """A rotation is asked for, but the key is the user's own."""

    reason = "KeyNotManaged"


class NoHosts(Terminal):
    """Nova shows no compute host, or every one is excluded."""

    reason = "NoHosts"
