"""PURE. What a host looks like -> how everything of ours is removed there, or what prevents it."""

from quiesce.keyring.decide.changes import (
    closed_ssh_dir,
    home_belongs_to_root,
    not_regular,
    not_root,
)
from quiesce.keyring.decide.obstacle import Obstacle
from quiesce.keyring.model.changes import (
    AdoptMarks,
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


def removals(layout: HostLayout, observed: HostObservation) -> tuple[Change, ...]:
    """Everything of ours, and nothing else.

    Keys stop being accepted first; the record of what was found goes last. What an earlier version
    has installed gets its present names before anything else, alone.
    """
    if observed.old_marks:
        return (AdoptMarks(),)
    return (
        *((RemoveStaleFiles(in_use=True),) if observed.stale_files else ()),
        *_account_files(layout, observed),
        *_restored_shell(layout, observed),
        *_created_account(layout, observed),
        *_known_hosts(layout, observed),
    )


def _created(observed: HostObservation) -> tuple[str, ...]:
    return observed.original.created if observed.original else ()


def _account_files(layout: HostLayout, observed: HostObservation) -> tuple[Change, ...]:
    created, ssh_dir = _created(observed), layout.ssh_dir
    steps: list[Change] = []
    for name, lines in (
        ("authorized_keys", len(observed.authorized_lines)),
        ("config", observed.config_lines),
    ):
        if lines:
            steps.append(KeepLines(f"{ssh_dir}/{name}", (), None, drop_if_empty=name in created))
    steps += [RemoveFile(f"{ssh_dir}/{name}") for name in sorted(observed.own_files)]
    if "ssh_dir" in created and observed.ssh_dir is not None and observed.readable:
        steps.append(RemoveDirectory(ssh_dir, as_root=home_belongs_to_root(observed)))
    return tuple(steps)


def _restored_shell(layout: HostLayout, observed: HostObservation) -> tuple[Change, ...]:
    """Only where the shell is still the one that we set."""
    if (
        observed.original is None
        or observed.account is None
        or observed.account.shell != layout.shell
    ):
        return ()
    if observed.original.shell == layout.shell:
        return ()
    return (SetShell(layout.user, observed.original.shell),)


def _created_account(layout: HostLayout, observed: HostObservation) -> tuple[Change, ...]:
    created = _created(observed)
    if "account" in created and observed.account is not None:
        return (RemoveAccount(layout.user),)
    if "home" in created and observed.home is not None:
        return (RemoveDirectory(layout.home, as_root=True),)
    return ()


def _known_hosts(layout: HostLayout, observed: HostObservation) -> tuple[Change, ...]:
    if observed.original is None and observed.known_hosts_digest in ("", digest("")):
        return ()
    drop = "known_hosts" in _created(observed)
    return (KeepLines(layout.known_hosts_file, (), None, as_root=True, drop_if_empty=drop),)


def removal_obstacle(layout: HostLayout, observed: HostObservation) -> Obstacle | None:
    """The first thing that prevents a removal: only what we would have to override."""
    if not observed.root:
        return not_root()
    if observed.ssh_dir is None:
        return None
    return not_regular(layout, observed) if observed.readable else closed_ssh_dir(layout)
