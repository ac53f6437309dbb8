"""PURE. What a host looks like, and should look like -> what to change, or what prevents it."""

from dataclasses import dataclass

from quiesce.keyring.model.changes import (
    Change,
    InstallFile,
    KeepLines,
    MakeAccount,
    MakeDirectory,
    MakeHome,
    RemoveFile,
    RemoveStaleFiles,
    SetMode,
    SetShell,
)
from quiesce.keyring.model.desired import DesiredState, HostLayout, digest
from quiesce.keyring.model.observation import File, HostObservation, Original

_PRIVATE, _PUBLIC, _DIRECTORY = 0o600, 0o644, 0o700
_WRITABLE_BY_OTHERS = 0o022
_NO_ACCOUNT = "UNKNOWN"
"""What `stat -c %U` calls the owner of a file whose account does not exist."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Something on the host that a person has to correct first; nothing is touched until then.

    `remedies`: each a sentence or a command.
    """

    reason: str
    message: str
    remedies: tuple[str, ...] = ()


def installation_obstacle(layout: HostLayout, seen: HostObservation) -> Obstacle | None:
    """The first thing that prevents an installation."""
    account = seen.account
    if not seen.root:
        return not_root()
    if account is not None and account.home != layout.home:
        return Obstacle(
            "HomeMismatch",
            f"the home of {layout.user} is {account.home}, not {layout.home}: sshd looks there",
            (f"Delete the keyring, and create it again with spec.nova.home: {account.home}",),
        )
    if not seen.shell_usable and (account is None or account.shell != layout.shell):
        return Obstacle(
            "ShellMissing",
            f"there is no program {layout.shell} on the host",
            (f"Install {layout.shell}, or set spec.nova.shell",),
        )
    return _wrong_home(layout, seen) or _wrong_ssh_dir(layout, seen) or not_regular(layout, seen)


def not_root() -> Obstacle:
    return Obstacle(
        "NotRoot",
        "the operator's login has no root rights on the host",
        ("Set hostAccess.user to root, or hostAccess.become to Sudo",),
    )


def _wrong_home(layout: HostLayout, seen: HostObservation) -> Obstacle | None:
    """What sshd's StrictModes refuses (auth_secure_path in misc.c), except what we may correct."""
    user, home = layout.user, seen.home
    if home is None:
        return None
    if home.kind != "directory":
        return _not_a_directory(layout.home, home)
    if home.owner not in (user, "root", *((_NO_ACCOUNT,) if seen.account is None else ())):
        return Obstacle(
            "WrongOwner",
            f"{layout.home} belongs to {home.owner}: sshd ignores authorized_keys there",
            (f"chown {user} {layout.home}",),
        )
    if home.mode & _WRITABLE_BY_OTHERS:
        return Obstacle(
            "WrongMode",
            f"{layout.home} is writable by others: sshd ignores authorized_keys there",
            (f"chmod go-w {layout.home}",),
        )
    return None


def _wrong_ssh_dir(layout: HostLayout, seen: HostObservation) -> Obstacle | None:
    ssh_dir = seen.ssh_dir
    if seen.home is None or ssh_dir is None:
        return None
    if ssh_dir.kind != "directory":
        return _not_a_directory(layout.ssh_dir, ssh_dir)
    if ssh_dir.owner != layout.user or not seen.readable:
        return closed_ssh_dir(layout)
    return None


def closed_ssh_dir(layout: HostLayout) -> Obstacle:
    return Obstacle(
        "WrongOwner",
        f"{layout.user} has no access to {layout.ssh_dir}, or to a file in it",
        (f"chown -R {layout.user} {layout.ssh_dir}",),
    )


def _not_a_directory(path: str, file: File) -> Obstacle:
    return Obstacle("NotADirectory", f"{path} is a {file.kind}", (f"Make {path} a directory",))


def not_regular(layout: HostLayout, seen: HostObservation) -> Obstacle | None:
    """One of the files that we share with others is a link, a directory or the like."""
    shared = {
        layout.known_hosts_file: seen.known_hosts,
        f"{layout.ssh_dir}/authorized_keys": seen.authorized_keys,
        f"{layout.ssh_dir}/config": seen.config,
    }
    for path, file in shared.items():
        if file is not None and not file.regular:
            return Obstacle(
                "NotAFile", f"{path} is a {file.kind}", (f"Make {path} a regular file",)
            )
    return None


def changes(desired: DesiredState, seen: HostObservation) -> tuple[Change, ...]:
    """What differs, in an order that is safe to interrupt anywhere. Only without an obstacle.

    The record of what was found comes first, keys are accepted before they are used, and keys that
    are no longer used go last. A missing account comes alone: what is in its home can be observed
    only as that account, so the host is observed again once it exists.
    """
    if seen.account is None:
        return (
            *(_known_hosts(desired, seen) if seen.home is None else ()),
            MakeAccount(desired.layout.user),
        )
    key_id = _key_to_use(desired, seen)
    return (
        *((RemoveStaleFiles(),) if seen.stale_files else ()),
        *_known_hosts(desired, seen),
        *_shell(desired.layout, seen),
        *((MakeHome(desired.layout.home),) if seen.home is None else ()),
        *_ssh_dir(desired.layout, seen),
        *_key_files(desired, seen),
        *_authorized_keys(desired, seen),
        *_client_config(desired, seen, key_id),
        *_retired_keys(desired, seen),
    )


def _key_to_use(desired: DesiredState, seen: HostObservation) -> str:
    """A host keeps the key that it uses, if that is ours, until every host accepts the new one."""
    current = seen.uses if seen.included else None
    earlier = {key.id for key in desired.previous}
    return current if current in earlier and not desired.may_switch else desired.key.public.id


def _original(layout: HostLayout, seen: HostObservation) -> Original | None:
    """What a removal would have to restore, as it is before the first change.

    An account is ours to remove only if there was no home either: else it was lost, and files of it
    are left.
    """
    if seen.account is None and seen.home is not None:
        return None
    shared = {
        "account": seen.account,
        "home": seen.home,
        "known_hosts": seen.known_hosts,
        "ssh_dir": seen.ssh_dir,
        "authorized_keys": seen.authorized_keys,
        "config": seen.config,
    }
    shell = layout.shell if seen.account is None else seen.account.shell
    return Original(shell, tuple(name for name, file in shared.items() if file is None))


def _known_hosts(desired: DesiredState, seen: HostObservation) -> tuple[Change, ...]:
    path, layout = desired.layout.known_hosts_file, desired.layout
    original = seen.original or _original(layout, seen)
    if seen.known_hosts_digest == desired.known_hosts_digest and seen.original is not None:
        return _mode(path, seen.known_hosts, _PUBLIC, as_root=True)
    record = (f"{original.line} {layout.identity.marker}",) if original else ()
    return (KeepLines(path, record + desired.known_lines, _PUBLIC, as_root=True),)


def _shell(layout: HostLayout, seen: HostObservation) -> tuple[Change, ...]:
    if seen.account is None or seen.account.shell == layout.shell:
        return ()
    return (SetShell(layout.user, layout.shell),)


def _ssh_dir(layout: HostLayout, seen: HostObservation) -> tuple[Change, ...]:
    if seen.ssh_dir is None:
        return (MakeDirectory(layout.ssh_dir, as_root=home_belongs_to_root(seen)),)
    return _mode(layout.ssh_dir, seen.ssh_dir, _DIRECTORY)


def home_belongs_to_root(seen: HostObservation) -> bool:
    return seen.home is not None and seen.home.owner == "root"


def _key_files(desired: DesiredState, seen: HostObservation) -> tuple[Change, ...]:
    key, identity = desired.key, desired.layout.identity
    name = identity.key_file(key.public.id)
    public = f"{key.public.line} {identity.marker}\n"
    return (
        *_own_file(desired, seen, name, key.private),
        *_own_file(desired, seen, f"{name}.pub", public),
    )


def _authorized_keys(desired: DesiredState, seen: HostObservation) -> tuple[Change, ...]:
    lines = desired.authorized_lines
    path = f"{desired.layout.ssh_dir}/authorized_keys"
    if sorted(seen.authorized_lines) == sorted(lines):
        return _mode(path, seen.authorized_keys, _PRIVATE)
    return (KeepLines(path, lines, _PRIVATE),)


def _client_config(desired: DesiredState, seen: HostObservation, key_id: str) -> tuple[Change, ...]:
    identity, path = desired.layout.identity, f"{desired.layout.ssh_dir}/config"
    own = _own_file(desired, seen, identity.config, desired.client_config(key_id))
    if seen.included and seen.config_lines == 1:
        return (*own, *_mode(path, seen.config, _PRIVATE))
    return (*own, KeepLines(path, (identity.include,), _PRIVATE))


def _retired_keys(desired: DesiredState, seen: HostObservation) -> tuple[Change, ...]:
    """Files of keys that no host uses any more."""
    identity = desired.layout.identity
    keys = [identity.key_file(key.id) for key in (desired.key.public, *desired.previous)]
    kept = {identity.config, *keys, *(f"{key}.pub" for key in keys)}
    return tuple(
        RemoveFile(f"{desired.layout.ssh_dir}/{name}")
        for name in sorted(seen.own_files)
        if name not in kept
    )


def _own_file(
    desired: DesiredState, seen: HostObservation, name: str, content: str
) -> tuple[Change, ...]:
    file, path = seen.own_files.get(name), f"{desired.layout.ssh_dir}/{name}"
    same = (
        file is not None
        and file.regular
        and file.owner == desired.layout.user
        and file.digest == digest(content)
    )
    return _mode(path, file, _PRIVATE) if same else (InstallFile(path, content),)


def _mode(path: str, file: File | None, mode: int, as_root: bool = False) -> tuple[Change, ...]:
    return () if file is None or file.mode == mode else (SetMode(path, mode, as_root),)
