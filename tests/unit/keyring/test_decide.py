"""What is changed on a host, and what keeps us from it."""

from dataclasses import replace

import pytest
from tests.unit.keyring.build import HOME, NEW, OLD, PLACE, UNTOUCHED, Disk, wants

from quiesce.keyring.decide import changes, refusal, removals
from quiesce.keyring.sight import Account, File


def installed(disk: Disk | None = None) -> Disk:
    disk = disk or Disk()
    for change in changes(wants(), disk.sight):
        disk.do(change)
    return disk


def test_an_installed_host_needs_nothing() -> None:
    assert changes(wants(), installed().sight) == ()


def test_an_installation_broken_off_anywhere_goes_on_from_there() -> None:
    steps = len(changes(wants(), UNTOUCHED))
    for broken_after in range(steps + 1):
        disk = Disk()
        for change in changes(wants(), disk.sight)[:broken_after]:
            disk.do(change)
        assert installed(disk).sight == installed().sight


def test_removal_broken_off_anywhere_ends_as_it_was_found() -> None:
    steps = len(removals(PLACE, installed().sight))
    for broken_after in range(steps + 1):
        disk = installed()
        for change in removals(PLACE, disk.sight)[:broken_after]:
            disk.do(change)
        for change in removals(PLACE, disk.sight):
            disk.do(change)
        assert disk.sight == UNTOUCHED


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
    "UserMissing": replace(UNTOUCHED, account=None),
    "HomeMismatch": replace(UNTOUCHED, account=replace(ACCOUNT, home="/home/nova")),
    "ShellMissing": replace(UNTOUCHED, account=replace(ACCOUNT, usable=False)),
    "HomeMissing": replace(UNTOUCHED, home=None),
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


def test_not_refused() -> None:
    assert refusal(PLACE, UNTOUCHED) is None
    assert refusal(PLACE, replace(UNTOUCHED, home=replace(HOME, owner="root"))) is None
    assert refusal(PLACE, replace(UNTOUCHED, account=Account(1, 1, "/var/lib/nova", "/bin/bash", False))) is None


def test_a_key_that_only_the_host_knows_is_neither_used_nor_let_in() -> None:
    """A host that was broken into cannot make the others accept its own key, nor keep a key of its own."""
    disk, forged = installed(), wants(NEW)
    for change in changes(forged, disk.sight):
        disk.do(change)
    assert (disk.sight.uses, disk.sight.accepts) == (NEW.public.id, {NEW.public.id})
    for change in changes(wants(OLD, may_switch=False), disk.sight):
        disk.do(change)
    assert disk.sight.uses == OLD.public.id
    assert disk.sight.accepts == {OLD.public.id}
