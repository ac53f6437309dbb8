"""MigrationKeyring: one shared key pair, and pinned host keys, on all hosts of a cloud.

    reconcile   a tick
    model       frozen values
    observe     Nova's hosts, access to them, the key store
    decide      pure: changes on a host, removal, schedule, rotation
    act         visits to hosts over SSH
    report      pure: status, rows, events

For drains: `keyring.paths` (may its cold migrations begin) and `keyring.access` (a session).
"""
