"""PURE: what a host shall look like and what it looks like -> what to change there, or why nothing can be done."""

from dataclasses import dataclass

from quiesce.keyring.changes import (
    Change,
    CleanUp,
    InstallFile,
    KeepLines,
    MakeAccount,
    MakeDirectory,
    MakeHome,
    RemoveAccount,
    RemoveDirectory,
    RemoveFile,
    SetMode,
    SetShell,
)
from quiesce.keyring.sight import File, Found, Sight
from quiesce.keyring.wanted import Place, Wanted, digest

PRIVATE, PUBLIC, DIRECTORY = 0o600, 0o644, 0o700
WRITABLE_BY_OTHERS = 0o022
NOBODYS = "UNKNOWN"
"""What `stat -c %U` calls the owner of a file whose account is gone."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something on the host that a person has to put right first; nothing is touched until then."""

    reason: str
    message: str


def refusal(place: Place, sight: Sight) -> Refusal | None:
    """The first thing that stands in the way of an installation."""
    account, user = sight.account, place.user
    if not sight.root:
        return Refusal(
            "NotRoot", "the login has no root rights: use root, or hostAccess.become: Sudo"
        )
    if account is not None and account.home != place.home:
        return Refusal(
            "HomeMismatch", f"the home of {user} is {account.home}: sshd looks there. Set nova.home"
        )
    if not sight.shell_usable and (account is None or account.shell != place.shell):
        return Refusal(
            "ShellMissing", f"there is no program {place.shell}: install it, or set nova.shell"
        )
    return _wrong_place(place, sight) or _wrong_kind(place, sight)


def _wrong_place(place: Place, sight: Sight) -> Refusal | None:
    """What sshd's StrictModes refuses (auth_secure_path in misc.c), except what is ours to mend."""
    user, home = place.user, sight.home
    if home is None:
        return None
    if home.kind != "directory":
        return Refusal("NotADirectory", f"{place.home} is a {home.kind}: put a directory there")
    if home.owner not in (user, "root", *((NOBODYS,) if sight.account is None else ())):
        return Refusal(
            "WrongOwner", f"{place.home} belongs to {home.owner}: sshd ignores keys there; chown it"
        )
    if home.mode & WRITABLE_BY_OTHERS:
        return Refusal(
            "WrongMode",
            f"{place.home} can be written by others: sshd ignores keys there; chmod go-w",
        )
    ssh_dir = sight.ssh_dir
    if ssh_dir is not None and ssh_dir.kind != "directory":
        return Refusal(
            "NotADirectory", f"{place.ssh_dir} is a {ssh_dir.kind}: put a directory there"
        )
    if ssh_dir is not None and (ssh_dir.owner != user or not sight.readable):
        return Refusal(
            "WrongOwner", f"{place.ssh_dir} or a file in it is closed to {user}: chown -R {user} it"
        )
    return None


def _wrong_kind(place: Place, sight: Sight) -> Refusal | None:
    shared = {
        place.known_hosts_file: sight.known_hosts,
        f"{place.ssh_dir}/authorized_keys": sight.authorized,
        f"{place.ssh_dir}/config": sight.config,
    }
    for path, file in shared.items():
        if file is not None and not file.regular:
            return Refusal("NotAFile", f"{path} is a {file.kind}: put a regular file there")
    return None


def changes(wanted: Wanted, sight: Sight) -> tuple[Change, ...]:
    """What differs, in an order that is safe to break off anywhere: the memory of what was found comes first,
    keys are let in before they are used, and used ones go last. Only for a host without a refusal.

    A missing account comes alone: what is in its home is seen only as that account, so look again after it is made."""
    if sight.account is None:
        return (
            *(_known_hosts(wanted, sight) if sight.home is None else ()),
            MakeAccount(wanted.place.user),
        )
    uses = key_in_use(wanted, sight)
    return (
        *((CleanUp(),) if sight.litter else ()),
        *_known_hosts(wanted, sight),
        *_shell(wanted.place, sight),
        *((MakeHome(wanted.place.home),) if sight.home is None else ()),
        *_ssh_dir(wanted.place, sight),
        *_key_files(wanted, sight),
        *_authorized(wanted, sight),
        *_client(wanted, sight, uses),
        *_retired(wanted, sight),
    )


def key_in_use(wanted: Wanted, sight: Sight) -> str:
    """The key that the host shall use: its present one, if we made it, until every host lets the new one in."""
    present = sight.uses if sight.included else None
    known = {key.id for key in wanted.previous}
    return present if present in known and not wanted.may_switch else wanted.key.public.id


def found_now(place: Place, sight: Sight) -> Found | None:
    """What a removal would have to put back, as it is before the first change. An account is ours to remove only
    where there was no home either: else it was lost, and files are left of it."""
    if sight.account is None and sight.home is not None:
        return None
    shared = {
        "account": sight.account,
        "home": sight.home,
        "known_hosts": sight.known_hosts,
        "ssh_dir": sight.ssh_dir,
        "authorized_keys": sight.authorized,
        "config": sight.config,
    }
    shell = place.shell if sight.account is None else sight.account.shell
    return Found(shell, tuple(name for name, file in shared.items() if file is None))


def _known_hosts(wanted: Wanted, sight: Sight) -> tuple[Change, ...]:
    found = sight.found or found_now(wanted.place, sight)
    same = sight.known_lines == wanted.known_digest
    if same and sight.found is not None:
        return _mode(wanted.place.known_hosts_file, sight.known_hosts, PUBLIC, as_root=True)
    record = (f"{found.line} {wanted.place.identity.marker}",) if found else ()
    return (
        KeepLines(wanted.place.known_hosts_file, record + wanted.known_lines, PUBLIC, as_root=True),
    )


def _shell(place: Place, sight: Sight) -> tuple[Change, ...]:
    if sight.account is None or sight.account.shell == place.shell:
        return ()
    return (SetShell(place.user, place.shell),)


def _ssh_dir(place: Place, sight: Sight) -> tuple[Change, ...]:
    if sight.ssh_dir is None:
        return (MakeDirectory(place.ssh_dir, as_root=_home_is_roots(sight)),)
    return _mode(place.ssh_dir, sight.ssh_dir, DIRECTORY)


def _home_is_roots(sight: Sight) -> bool:
    return sight.home is not None and sight.home.owner == "root"


def _key_files(wanted: Wanted, sight: Sight) -> tuple[Change, ...]:
    key, identity = wanted.key, wanted.place.identity
    name = identity.key_file(key.public.id)
    public = f"{key.public.line} {identity.marker}\n"
    return (*_own(wanted, sight, name, key.private), *_own(wanted, sight, f"{name}.pub", public))


def _authorized(wanted: Wanted, sight: Sight) -> tuple[Change, ...]:
    lines = wanted.authorized_lines
    path = f"{wanted.place.ssh_dir}/authorized_keys"
    if sorted(sight.authorized_lines) == sorted(lines):
        return _mode(path, sight.authorized, PRIVATE)
    return (KeepLines(path, lines, PRIVATE),)


def _client(wanted: Wanted, sight: Sight, uses: str) -> tuple[Change, ...]:
    path = f"{wanted.place.ssh_dir}/config"
    own = _own(wanted, sight, wanted.place.identity.config, wanted.client_config(uses))
    if sight.included and sight.config_lines == 1:
        return (*own, *_mode(path, sight.config, PRIVATE))
    return (*own, KeepLines(path, (wanted.place.identity.include,), PRIVATE))


def _retired(wanted: Wanted, sight: Sight) -> tuple[Change, ...]:
    """Files of keys that no host uses any more."""
    identity = wanted.place.identity
    keys = [identity.key_file(key.id) for key in (wanted.key.public, *wanted.previous)]
    kept = {identity.config, *keys, *(f"{key}.pub" for key in keys)}
    return tuple(
        RemoveFile(f"{wanted.place.ssh_dir}/{name}")
        for name in sorted(sight.own)
        if name not in kept
    )


def _own(wanted: Wanted, sight: Sight, name: str, content: str) -> tuple[Change, ...]:
    file, path = sight.own.get(name), f"{wanted.place.ssh_dir}/{name}"
    if (
        file is None
        or not file.regular
        or file.owner != wanted.place.user
        or file.digest != digest(content)
    ):
        return (InstallFile(path, content),)
    return _mode(path, file, PRIVATE)


def _mode(path: str, file: File | None, mode: int, as_root: bool = False) -> tuple[Change, ...]:
    return () if file is None or file.mode == mode else (SetMode(path, mode, as_root),)


def removals(place: Place, sight: Sight) -> tuple[Change, ...]:
    """Everything of ours, and nothing else: keys are shut out first, the memory of what was found goes last."""
    made = sight.found.made if sight.found else ()
    ssh_dir = place.ssh_dir
    steps: list[Change] = [CleanUp()] if sight.litter else []
    if sight.authorized_lines:
        steps.append(
            KeepLines(
                f"{ssh_dir}/authorized_keys", (), None, drop_if_empty="authorized_keys" in made
            )
        )
    if sight.config_lines:
        steps.append(KeepLines(f"{ssh_dir}/config", (), None, drop_if_empty="config" in made))
    steps += [RemoveFile(f"{ssh_dir}/{name}") for name in sorted(sight.own)]
    if "ssh_dir" in made and sight.ssh_dir is not None and sight.readable:
        steps.append(RemoveDirectory(ssh_dir, as_root=_home_is_roots(sight)))
    steps += _shell_back(place, sight)
    if "account" in made and sight.account is not None:
        steps.append(RemoveAccount(place.user))
    elif "home" in made and sight.home is not None:
        steps.append(RemoveDirectory(place.home, as_root=True))
    if sight.found is not None or sight.known_lines not in ("", digest("")):
        steps.append(
            KeepLines(
                place.known_hosts_file, (), None, as_root=True, drop_if_empty="known_hosts" in made
            )
        )
    return tuple(steps)


def _shell_back(place: Place, sight: Sight) -> tuple[Change, ...]:
    """Only where the shell is still the one that we set."""
    if sight.found is None or sight.account is None or sight.account.shell != place.shell:
        return ()
    return () if sight.found.shell == place.shell else (SetShell(place.user, sight.found.shell),)


def removal_refusal(place: Place, sight: Sight) -> Refusal | None:
    """What keeps us from taking our things away: only what we would have to step over."""
    if not sight.root:
        return Refusal(
            "NotRoot", "the login has no root rights: use root, or hostAccess.become: Sudo"
        )
    if sight.ssh_dir is not None and not sight.readable:
        return Refusal(
            "WrongOwner", f"{place.ssh_dir} or a file in it is closed to {place.user}: chown it"
        )
    return _wrong_kind(place, sight) if sight.ssh_dir is not None else None
