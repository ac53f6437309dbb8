"""What is changed on a host, and what keeps us from it."""

from dataclasses import replace

import pytest
from tests.unit.keyring.build import (
    BARE,
    HOME,
    HOMELESS,
    LOST,
    NEW,
    OLD,
    PLACE,
    UNTOUCHED,
    Disk,
    wants,
)

from quiesce.keyring.changes import MakeAccount
from quiesce.keyring.decide import changes, refusal, removals
from quiesce.keyring.sight import Account, File, Sight
from quiesce.keyring.visit import ROUNDS

FOUND = {"untouched": UNTOUCHED, "without a home": HOMELESS, "without an account": BARE}


def installed(disk: Disk | None = None) -> Disk:
    disk = disk or Disk()
    for _ in range(ROUNDS):
        for change in changes(wants(), disk.sight):
            disk.do(change)
    return disk


@pytest.mark.parametrize("found", [*FOUND.values(), LOST], ids=[*FOUND, "account lost"])
def test_an_installed_host_needs_nothing(found: Sight) -> None:
    assert changes(wants(), installed(Disk(found)).sight) == ()


@pytest.mark.parametrize("found", FOUND.values(), ids=FOUND)
def test_an_installation_broken_off_anywhere_goes_on_from_there(found: Sight) -> None:
    for first_round in range(len(changes(wants(), found)) + 1):
        for second_round in range(9):
            disk = Disk(found)
            for broken_after in (first_round, second_round):
                for change in changes(wants(), disk.sight)[:broken_after]:
                    disk.do(change)
            assert installed(disk).sight == installed(Disk(found)).sight


@pytest.mark.parametrize("found", FOUND.values(), ids=FOUND)
def test_removal_broken_off_anywhere_ends_as_it_was_found(found: Sight) -> None:
    steps = len(removals(PLACE, installed(Disk(found)).sight))
    for broken_after in range(steps + 1):
        disk = installed(Disk(found))
        for change in removals(PLACE, disk.sight)[:broken_after]:
            disk.do(change)
        for change in removals(PLACE, disk.sight):
            disk.do(change)
        assert disk.sight == found


def test_a_lost_account_is_made_again_before_anything_else_and_stays_when_the_keyring_goes() -> (
    None
):
    """What is in its home can be seen only as the account, and is somebody's."""
    assert changes(wants(), LOST) == (MakeAccount("nova"),)
    disk = installed(Disk(LOST))
    for change in removals(PLACE, disk.sight):
        disk.do(change)
    assert (disk.sight.account, disk.sight.home) == (
        Account(998, 998, PLACE.home, PLACE.shell),
        HOME,
    )


def test_an_account_that_is_lost_later_is_made_again_and_not_taken_for_ours() -> None:
    disk = installed()
    disk.sight = replace(
        disk.sight,
        account=None,
        home=None,
        ssh_dir=None,
        authorized=None,
        config=None,
        own={},
        uses=None,
    )
    disk.sight = replace(disk.sight, authorized_lines=(), included=False, config_lines=0)
    assert "account" in " ".join(change.what for change in changes(wants(), disk.sight))
    assert not [
        change for change in removals(PLACE, installed(disk).sight) if "account" in change.what
    ]


def test_nothing_is_removed_where_nothing_was_installed() -> None:
    assert removals(PLACE, UNTOUCHED) == ()


def test_a_shell_that_somebody_else_has_changed_since_is_left_alone() -> None:
    sight = installed().sight
    assert sight.account is not None
    sight = replace(sight, account=replace(sight.account, shell="/bin/zsh"))
    assert not [change for change in removals(PLACE, sight) if "shell" in change.what]


def test_the_memory_of_what_was_found_is_written_first_and_removed_last() -> None:
    assert changes(wants(), UNTOUCHED)[0].what == PLACE.known_hosts_file
    assert removals(PLACE, installed().sight)[-1].what == PLACE.known_hosts_file


def test_a_key_is_let_in_before_it_is_used() -> None:
    what = [change.what for change in changes(wants(), UNTOUCHED)]
    assert what.index(f"{PLACE.ssh_dir}/authorized_keys") < what.index(f"{PLACE.ssh_dir}/config")
    assert what.index(f"{PLACE.ssh_dir}/{PLACE.identity.key_file(OLD.public.id)}") < what.index(
        f"{PLACE.ssh_dir}/{PLACE.identity.config}"
    )


def test_private_keys_are_in_no_representation() -> None:
    shown = repr(changes(wants(), UNTOUCHED)) + repr(wants()) + repr(OLD)
    assert "PRIVATE KEY" not in shown


ACCOUNT = UNTOUCHED.account
assert ACCOUNT is not None
REFUSED = {
    "NotRoot": replace(UNTOUCHED, root=False),
    "HomeMismatch": replace(UNTOUCHED, account=replace(ACCOUNT, home="/home/nova")),
    "ShellMissing": replace(UNTOUCHED, shell_usable=False),
    "WrongOwner": replace(UNTOUCHED, home=replace(HOME, owner="bob")),
    "WrongMode": replace(UNTOUCHED, home=replace(HOME, mode=0o775)),
    "NotADirectory": replace(UNTOUCHED, ssh_dir=File("symbolic link", "nova", 0o777)),
    "NotAFile": replace(UNTOUCHED, authorized=File("symbolic link", "nova", 0o777)),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_refused(reason: str) -> None:
    found = refusal(PLACE, REFUSED[reason])
    assert found is not None
    assert found.reason == reason


MISSING = {
    "WrongOwner": replace(LOST, home=replace(HOME, owner="bob")),
    "WrongMode": replace(LOST, home=File("directory", "UNKNOWN", 0o777)),
    "NotADirectory": replace(LOST, home=File("symbolic link", "root", 0o777)),
    "ShellMissing": replace(BARE, shell_usable=False),
}


@pytest.mark.parametrize("reason", MISSING)
def test_no_account_is_made_where_it_could_not_be_used(reason: str) -> None:
    found = refusal(PLACE, MISSING[reason])
    assert found is not None
    assert found.reason == reason


def test_not_refused() -> None:
    assert refusal(PLACE, UNTOUCHED) is None
    assert refusal(PLACE, replace(UNTOUCHED, home=replace(HOME, owner="root"))) is None
    assert (
        refusal(
            PLACE,
            replace(UNTOUCHED, account=Account(1, 1, PLACE.home, PLACE.shell), shell_usable=False),
        )
        is None
    )
    assert all(
        refusal(PLACE, sight) is None
        for sight in (BARE, LOST, HOMELESS, replace(BARE, home=replace(HOME, owner="root")))
    )


def test_a_key_that_only_the_host_knows_is_neither_used_nor_let_in() -> None:
    """A host that was broken into cannot make the others accept its own key, nor keep a key of its own."""
    disk, forged = installed(), wants(NEW)
    for change in changes(forged, disk.sight):
        disk.do(change)
    assert disk.sight.uses == NEW.public.id
    assert disk.sight.accepts == {NEW.public.id}
    for change in changes(wants(OLD, may_switch=False), disk.sight):
        disk.do(change)
    assert disk.sight.uses == OLD.public.id
    assert disk.sight.accepts == {OLD.public.id}
