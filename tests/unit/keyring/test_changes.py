"""What is changed on a host, and what keeps us from it."""

from dataclasses import replace

import pytest
from tests.unit.keyring.build import (
    BARE,
    HOME,
    HOMELESS,
    LAYOUT,
    LOST,
    NEW,
    OLD,
    UNTOUCHED,
    Disk,
    desired,
)

from quiesce.keyring.act.visit import ROUNDS
from quiesce.keyring.decide import changes, installation_obstacle, removals
from quiesce.keyring.model import Account, ComputeView, File, HostObservation
from quiesce.keyring.model.changes import MakeAccount

FOUND = {"untouched": UNTOUCHED, "without a home": HOMELESS, "without an account": BARE}


def installed(disk: Disk | None = None) -> Disk:
    disk = disk or Disk()
    for _ in range(ROUNDS):
        for change in changes(desired(), disk.seen):
            disk.do(change)
    return disk


@pytest.mark.finding("S2")
@pytest.mark.parametrize("found", [*FOUND.values(), LOST], ids=[*FOUND, "account lost"])
def test_an_installed_host_needs_nothing(found: HostObservation) -> None:
    assert changes(desired(), installed(Disk(found)).seen) == ()


@pytest.mark.parametrize("found", FOUND.values(), ids=FOUND)
def test_an_installation_broken_off_anywhere_goes_on_from_there(found: HostObservation) -> None:
    for first_round in range(len(changes(desired(), found)) + 1):
        for second_round in range(9):
            disk = Disk(found)
            for broken_after in (first_round, second_round):
                for change in changes(desired(), disk.seen)[:broken_after]:
                    disk.do(change)
            assert installed(disk).seen == installed(Disk(found)).seen


@pytest.mark.parametrize("found", FOUND.values(), ids=FOUND)
def test_removal_broken_off_anywhere_ends_as_it_was_found(found: HostObservation) -> None:
    steps = len(removals(LAYOUT, installed(Disk(found)).seen))
    for broken_after in range(steps + 1):
        disk = installed(Disk(found))
        for change in removals(LAYOUT, disk.seen)[:broken_after]:
            disk.do(change)
        for change in removals(LAYOUT, disk.seen):
            disk.do(change)
        assert disk.seen == found


def test_a_lost_account_is_made_again_before_anything_else_and_stays_when_the_keyring_goes() -> (
    None
):
    """What is in its home can be seen only as the account, and is somebody's."""
    assert changes(desired(), LOST) == (MakeAccount("nova"),)
    disk = installed(Disk(LOST))
    for change in removals(LAYOUT, disk.seen):
        disk.do(change)
    assert (disk.seen.account, disk.seen.home) == (
        Account(998, 998, LAYOUT.home, LAYOUT.shell),
        HOME,
    )


def test_an_account_that_is_lost_later_is_made_again_and_not_taken_for_ours() -> None:
    disk = installed()
    disk.seen = replace(
        disk.seen,
        account=None,
        home=None,
        ssh_dir=None,
        authorized_keys=None,
        config=None,
        own_files={},
        uses=None,
    )
    disk.seen = replace(disk.seen, authorized_lines=(), included=False, config_lines=0)
    assert "account" in " ".join(change.what for change in changes(desired(), disk.seen))
    assert not [
        change for change in removals(LAYOUT, installed(disk).seen) if "account" in change.what
    ]


def test_nothing_is_removed_where_nothing_was_installed() -> None:
    assert removals(LAYOUT, UNTOUCHED) == ()


def test_a_shell_that_somebody_else_has_changed_since_is_left_alone() -> None:
    seen = installed().seen
    assert seen.account is not None
    seen = replace(seen, account=replace(seen.account, shell="/bin/zsh"))
    assert not [change for change in removals(LAYOUT, seen) if "shell" in change.what]


def test_the_memory_of_what_was_found_is_written_first_and_removed_last() -> None:
    assert changes(desired(), UNTOUCHED)[0].what == LAYOUT.known_hosts_file
    assert removals(LAYOUT, installed().seen)[-1].what == LAYOUT.known_hosts_file


@pytest.mark.finding("S8")
def test_a_key_is_let_in_before_it_is_used() -> None:
    what = [change.what for change in changes(desired(), UNTOUCHED)]
    assert what.index(f"{LAYOUT.ssh_dir}/authorized_keys") < what.index(f"{LAYOUT.ssh_dir}/config")
    assert what.index(f"{LAYOUT.ssh_dir}/{LAYOUT.identity.key_file(OLD.public.id)}") < what.index(
        f"{LAYOUT.ssh_dir}/{LAYOUT.identity.config}"
    )


@pytest.mark.finding("S4")
def test_private_keys_are_in_no_representation() -> None:
    shown = repr(changes(desired(), UNTOUCHED)) + repr(desired()) + repr(OLD)
    assert "PRIVATE KEY" not in shown


ACCOUNT = UNTOUCHED.account
assert ACCOUNT is not None
SEES = ComputeView("host", ACCOUNT.uid, LAYOUT.home, True, True, "2049:131")
REFUSED = {
    "HiddenFromNova": replace(UNTOUCHED, computes=(SEES, replace(SEES, same_home=False))),
    "WrongAccount": replace(UNTOUCHED, computes=(replace(SEES, uid=42436),)),
    "NotRoot": replace(UNTOUCHED, root=False),
    "HomeMismatch": replace(UNTOUCHED, account=replace(ACCOUNT, home="/home/nova")),
    "ShellMissing": replace(UNTOUCHED, shell_usable=False),
    "WrongOwner": replace(UNTOUCHED, home=replace(HOME, owner="bob")),
    "WrongMode": replace(UNTOUCHED, home=replace(HOME, mode=0o775)),
    "NotADirectory": replace(UNTOUCHED, ssh_dir=File("symbolic link", "nova", 0o777)),
    "NotAFile": replace(UNTOUCHED, authorized_keys=File("symbolic link", "nova", 0o777)),
}


@pytest.mark.finding("S2")
@pytest.mark.parametrize("reason", REFUSED)
def test_refused(reason: str) -> None:
    found = installation_obstacle(LAYOUT, REFUSED[reason])
    assert found is not None
    assert found.reason == reason


@pytest.mark.field_case("F21")
@pytest.mark.parametrize(
    ("view", "words"),
    [
        (replace(SEES, where="pod", same_home=False), "in a pod, and /var/lib/nova there is not"),
        (replace(SEES, where="container", home="/home/nova"), "there is /home/nova, not /var/lib"),
        (replace(SEES, home=""), "unknown: it is not in the account database"),
        (replace(SEES, same_known_hosts=False), "does not see /etc/ssh/ssh_known_hosts"),
    ],
)
def test_what_nova_compute_would_not_see_is_said(view: ComputeView, words: str) -> None:
    for observed in (replace(UNTOUCHED, computes=(view,)), replace(BARE, computes=(view,))):
        found = installation_obstacle(LAYOUT, observed)
        assert found is not None
        assert (found.reason, words in found.message) == ("HiddenFromNova", True)


MISSING = {
    "WrongOwner": replace(LOST, home=replace(HOME, owner="bob")),
    "WrongMode": replace(LOST, home=File("directory", "UNKNOWN", 0o777)),
    "NotADirectory": replace(LOST, home=File("symbolic link", "root", 0o777)),
    "ShellMissing": replace(BARE, shell_usable=False),
}


@pytest.mark.parametrize("reason", MISSING)
def test_no_account_is_made_where_it_could_not_be_used(reason: str) -> None:
    found = installation_obstacle(LAYOUT, MISSING[reason])
    assert found is not None
    assert found.reason == reason


def test_not_refused() -> None:
    assert installation_obstacle(LAYOUT, UNTOUCHED) is None
    assert (
        installation_obstacle(LAYOUT, replace(UNTOUCHED, home=replace(HOME, owner="root"))) is None
    )
    assert (
        installation_obstacle(
            LAYOUT,
            replace(
                UNTOUCHED, account=Account(1, 1, LAYOUT.home, LAYOUT.shell), shell_usable=False
            ),
        )
        is None
    )
    assert all(
        installation_obstacle(LAYOUT, seen) is None
        for seen in (BARE, LOST, HOMELESS, replace(BARE, home=replace(HOME, owner="root")))
    )


def test_a_key_that_only_the_host_knows_is_neither_used_nor_let_in() -> None:
    """A host that was broken into cannot make others accept its key, nor keep one of its own."""
    disk, forged = installed(), desired(NEW)
    for change in changes(forged, disk.seen):
        disk.do(change)
    assert (disk.seen.uses, disk.seen.accepts) == (NEW.public.id, frozenset({NEW.public.id}))
    for change in changes(desired(OLD, may_switch=False), disk.seen):
        disk.do(change)
    assert disk.seen.uses == OLD.public.id
    assert disk.seen.accepts == {OLD.public.id}
