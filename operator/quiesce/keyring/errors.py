"""What keeps a whole keyring from its goal. What keeps one host from it is a HostFailure."""

from quiesce.api.errors import Terminal


class BadMigrationKey(Terminal):
    """The Secret of the shared key pair holds something else."""

    reason = "BadMigrationKey"


class KeyNotManaged(Terminal):
    """A rotation is requested, but the key is the user's own."""

    reason = "KeyNotManaged"


class NoHosts(Terminal):
    """Nova shows no compute host, or every one is excluded."""

    reason = "NoHosts"
