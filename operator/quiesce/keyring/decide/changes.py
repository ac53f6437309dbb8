"""PURE. What a host looks like, and should look like -> what to change, or what prevents it."""

from quiesce.keyring.decide.compute_view import compute_obstacle
from quiesce.keyring.decide.obstacle import Obstacle
from quiesce.keyring.model.changes import (
    AdoptMarks,
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
_DEBIAN_NOVA = 64060
"""The id that Debian's and Ubuntu's packages give nova (nova-common.postinst)."""
_NO_ACCOUNT = "UNKNOWN"
"""What `stat -c %U` calls the owner of a file whose account does not exist."""


def installation_obstacle(layout: HostLayout, observed: HostObservation) -> Obstacle | None:
    """The first thing that prevents an installation."""
    account = observed.account
    if not observed.root:
        return not_root()
    if account is not None and account.home != layout.home:
        return Obstacle(
            "HomeMismatch",
            f"the home of {layout.user} is {account.home}, not {layout.home}: sshd looks there",
            (f"Delete the keyring, and create it again with spec.nova.home: {account.home}",),
        )
    if not observed.shell_usable and (account is None or account.shell != layout.shell):
        return Obstacle(
            "ShellMissing",
            f"there is no program {layout.shell} on the host",
            (f"Install {layout.shell}, or set spec.nova.shell",),
        )
    return (
        _wrong_account(layout, observed)
        or compute_obstacle(layout, observed)
        or _wrong_home(layout, observed)
        or _wrong_ssh_dir(layout, observed)
        or not_regular(layout, observed)
    )


def not_root() -> Obstacle:
    return Obstacle(
        "NotRoot",
        "the operator's login has no root rights on the host",
        ("Set hostAccess.user to root, or hostAccess.become to Sudo",),
    )


def _wrong_account(layout: HostLayout, observed: HostObservation) -> Obstacle | None:
    """The key lies on every host: an account of a person, or root by another name, is no place for
    it.
    """
    if observed.account is None:
        return None
    user, uid = layout.user, observed.account.uid
    if uid == 0:
        return Obstacle(
            "NotSystemAccount",
            f"{user} is root here (user id 0): every host could log in to this one as root",
            ("Create the keyring again with the account that nova-compute runs as",),
        )
    if layout.user_id is not None and uid != layout.user_id:
        return Obstacle(
            "NotSystemAccount",
            f"the user id of {user} is {uid}, not {layout.user_id} (spec.nova.userId)",
            ("Correct spec.nova.userId, or remove it where the account is one of the system",),
        )
    if layout.user_id is not None or uid <= observed.system_uids or uid == _DEBIAN_NOVA:
        return None
    return Obstacle(
        "NotSystemAccount",
        f"the user id of {user} is {uid}, that of a person: those of the system end at "
        f"{observed.system_uids}",
        (
            "Create the keyring again with the account that nova-compute runs as",
            f"If this is that account: set spec.nova.userId to {uid}",
        ),
    )


def _wrong_home(layout: HostLayout, observed: HostObservation) -> Obstacle | None:
    """What sshd's StrictModes refuses (auth_secure_path in misc.c), except what we may correct."""
    user, home = layout.user, observed.home
    if home is None:
        return None
    if home.kind != "directory":
        return _not_a_directory(layout.home, home)
    if home.owner not in (user, "root", *((_NO_ACCOUNT,) if observed.account is None else ())):
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


def _wrong_ssh_dir(layout: HostLayout, observed: HostObservation) -> Obstacle | None:
    ssh_dir = observed.ssh_dir
    if observed.home is None or ssh_dir is None:
        return None
    if ssh_dir.kind != "directory":
        return _not_a_directory(layout.ssh_dir, ssh_dir)
    if ssh_dir.owner != layout.user or not observed.readable:
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


def not_regular(layout: HostLayout, observed: HostObservation) -> Obstacle | None:
    """One of the files that we share with others is a link, a directory or the like."""
    shared = {
        layout.known_hosts_file: observed.known_hosts,
        f"{layout.ssh_dir}/authorized_keys": observed.authorized_keys,
        f"{layout.ssh_dir}/config": observed.config,
    }
    for path, file in shared.items():
        if file is not None and not file.regular:
            return Obstacle(
                "NotAFile", f"{path} is a {file.kind}", (f"Make {path} a regular file",)
            )
    return None


def changes(desired: DesiredState, observed: HostObservation) -> tuple[Change, ...]:
    """What differs, in an order that is safe to interrupt anywhere. Only without an obstacle.

    The record of what was found comes first, keys are accepted before they are used, and keys that
    are no longer used go last. A missing account comes alone: what is in its home can be observed
    only as that account, so the host is observed again once it exists. So does what an earlier
    version has installed: it gets its present names first.
    """
    if observed.old_marks:
        return (AdoptMarks(),)
    if observed.account is None:
        return (
            *(_known_hosts(desired, observed) if observed.home is None else ()),
            MakeAccount(desired.layout.user),
        )
    key_id = _key_to_use(desired, observed)
    return (
        *((RemoveStaleFiles(),) if observed.stale_files else ()),
        *_known_hosts(desired, observed),
        *_shell(desired.layout, observed),
        *((MakeHome(desired.layout.home),) if observed.home is None else ()),
        *_ssh_dir(desired.layout, observed),
        *_key_files(desired, observed),
        *_authorized_keys(desired, observed),
        *_client_config(desired, observed, key_id),
        *_retired_keys(desired, observed),
    )


def _key_to_use(desired: DesiredState, observed: HostObservation) -> str:
    """A host keeps the key that it uses, if that is ours, until every host accepts the new one."""
    current = observed.uses if observed.included else None
    earlier = {key.id for key in desired.previous}
    return current if current in earlier and not desired.may_switch else desired.key.public.id


def _original(layout: HostLayout, observed: HostObservation) -> Original | None:
    """What a removal would have to restore, as it is before the first change.

    An account is ours to remove only if there was no home either: else it was lost, and files of it
    are left.
    """
    if observed.account is None and observed.home is not None:
        return None
    shared = {
        "account": observed.account,
        "home": observed.home,
        "known_hosts": observed.known_hosts,
        "ssh_dir": observed.ssh_dir,
        "authorized_keys": observed.authorized_keys,
        "config": observed.config,
    }
    shell = layout.shell if observed.account is None else observed.account.shell
    return Original(shell, tuple(name for name, file in shared.items() if file is None))


def _known_hosts(desired: DesiredState, observed: HostObservation) -> tuple[Change, ...]:
    path, layout = desired.layout.known_hosts_file, desired.layout
    original = observed.original or _original(layout, observed)
    if observed.known_hosts_digest == desired.known_hosts_digest and observed.original is not None:
        return _mode(path, observed.known_hosts, _PUBLIC, as_root=True)
    record = (f"{original.line} {layout.identity.marker}",) if original else ()
    return (KeepLines(path, record + desired.known_lines, _PUBLIC, as_root=True),)


def _shell(layout: HostLayout, observed: HostObservation) -> tuple[Change, ...]:
    if observed.account is None or observed.account.shell == layout.shell:
        return ()
    return (SetShell(layout.user, layout.shell),)


def _ssh_dir(layout: HostLayout, observed: HostObservation) -> tuple[Change, ...]:
    if observed.ssh_dir is None:
        return (MakeDirectory(layout.ssh_dir, as_root=home_belongs_to_root(observed)),)
    return _mode(layout.ssh_dir, observed.ssh_dir, _DIRECTORY)


def home_belongs_to_root(observed: HostObservation) -> bool:
    return observed.home is not None and observed.home.owner == "root"


def _key_files(desired: DesiredState, observed: HostObservation) -> tuple[Change, ...]:
    key, identity = desired.key, desired.layout.identity
    name = identity.key_file(key.public.id)
    public = f"{key.public.line} {identity.marker}\n"
    return (
        *_own_file(desired, observed, name, key.private),
        *_own_file(desired, observed, f"{name}.pub", public),
    )


def _authorized_keys(desired: DesiredState, observed: HostObservation) -> tuple[Change, ...]:
    lines = desired.authorized_lines
    path = f"{desired.layout.ssh_dir}/authorized_keys"
    if sorted(line.digest for line in observed.authorized_lines) == sorted(map(digest, lines)):
        return _mode(path, observed.authorized_keys, _PRIVATE)
    return (KeepLines(path, lines, _PRIVATE),)


def _client_config(
    desired: DesiredState, observed: HostObservation, key_id: str
) -> tuple[Change, ...]:
    identity, path = desired.layout.identity, f"{desired.layout.ssh_dir}/config"
    own = _own_file(desired, observed, identity.config, desired.client_config(key_id))
    if observed.included and observed.config_lines == 1:
        return (*own, *_mode(path, observed.config, _PRIVATE))
    return (*own, KeepLines(path, (identity.include,), _PRIVATE))


def _retired_keys(desired: DesiredState, observed: HostObservation) -> tuple[Change, ...]:
    """Files of keys that no host uses any more."""
    identity = desired.layout.identity
    keys = [identity.key_file(key.id) for key in (desired.key.public, *desired.previous)]
    kept = {identity.config, *keys, *(f"{key}.pub" for key in keys)}
    return tuple(
        RemoveFile(f"{desired.layout.ssh_dir}/{name}")
        for name in sorted(observed.own_files)
        if name not in kept
    )


def _own_file(
    desired: DesiredState, observed: HostObservation, name: str, content: str
) -> tuple[Change, ...]:
    file, path = observed.own_files.get(name), f"{desired.layout.ssh_dir}/{name}"
    same = (
        file is not None
        and file.regular
        and file.owner == desired.layout.user
        and file.digest == digest(content)
    )
    return _mode(path, file, _PRIVATE) if same else (InstallFile(path, content),)


def _mode(path: str, file: File | None, mode: int, as_root: bool = False) -> tuple[Change, ...]:
    return () if file is None or file.mode == mode else (SetMode(path, mode, as_root),)
