"""PURE. What a host looks like -> how everything of ours is removed there, or what prevents it."""

from quiesce.keyring.decide.changes import (
    Obstacle,
    closed_ssh_dir,
    home_belongs_to_root,
    not_regular,
    not_root,
)
from quiesce.keyring.model.changes import (
    Change,
    KeepLines,
    RemoveAccount,
    RemoveDirectory,
    RemoveFile,
    RemoveStaleFiles,
    SetShell,
)
from quiesce.keyring.model.desired import HostLayout, digest
from quiesce.keyring.model.observation import HostObservation


def removals(layout: HostLayout, seen: HostObservation) -> tuple[Change, ...]:
    """Everything of ours, and nothing else.

    Keys stop being accepted first; the record of what was found goes last.
    """
    return (
        *((RemoveStaleFiles(),) if seen.stale_files else ()),
        *_account_files(layout, seen),
        *_restored_shell(layout, seen),
        *_created_account(layout, seen),
        *_known_hosts(layout, seen),
    )


def _created(seen: HostObservation) -> tuple[str, ...]:
    return seen.original.created if seen.original else ()


def _account_files(layout: HostLayout, seen: HostObservation) -> tuple[Change, ...]:
    created, ssh_dir = _created(seen), layout.ssh_dir
    steps: list[Change] = []
    for name, lines in (
        ("authorized_keys", len(seen.authorized_lines)),
        ("config", seen.config_lines),
    ):
        if lines:
            steps.append(KeepLines(f"{ssh_dir}/{name}", (), None, drop_if_empty=name in created))
    steps += [RemoveFile(f"{ssh_dir}/{name}") for name in sorted(seen.own_files)]
    if "ssh_dir" in created and seen.ssh_dir is not None and seen.readable:
        steps.append(RemoveDirectory(ssh_dir, as_root=home_belongs_to_root(seen)))
    return tuple(steps)


def _restored_shell(layout: HostLayout, seen: HostObservation) -> tuple[Change, ...]:
    """Only where the shell is still the one that we set."""
    if seen.original is None or seen.account is None or seen.account.shell != layout.shell:
        return ()
    if seen.original.shell == layout.shell:
        return ()
    return (SetShell(layout.user, seen.original.shell),)


def _created_account(layout: HostLayout, seen: HostObservation) -> tuple[Change, ...]:
    created = _created(seen)
    if "account" in created and seen.account is not None:
        return (RemoveAccount(layout.user),)
    if "home" in created and seen.home is not None:
        return (RemoveDirectory(layout.home, as_root=True),)
    return ()


def _known_hosts(layout: HostLayout, seen: HostObservation) -> tuple[Change, ...]:
    if seen.original is None and seen.known_hosts_digest in ("", digest("")):
        return ()
    drop = "known_hosts" in _created(seen)
    return (KeepLines(layout.known_hosts_file, (), None, as_root=True, drop_if_empty=drop),)


def removal_obstacle(layout: HostLayout, seen: HostObservation) -> Obstacle | None:
    """The first thing that prevents a removal: only what we would have to override."""
    if not seen.root:
        return not_root()
    if seen.ssh_dir is None:
        return None
    return not_regular(layout, seen) if seen.readable else closed_ssh_dir(layout)
