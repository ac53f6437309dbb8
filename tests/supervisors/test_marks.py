"""What tells one keyring's files and lines from those of another, on real hosts: a keyring of the
same name in another cluster, and what an earlier version has installed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from tests.beds.hosts.hosts import Bed, running
from tests.supervisors.test_paths import HOME, INSTANCES, LAYOUT, Keyring, keyring_of

from quiesce.api.host import KeyType
from quiesce.keyring.act import VisitOrder, visit
from quiesce.keyring.model import Identity, VisitResult
from quiesce.ssh.keys import KeyPair
from quiesce.ssh.private_keys import generate

EARLIER = Identity("openstack", "cold")
HERE, ELSEWHERE = (Identity.of("openstack", "cold", uid) for uid in ("uid-1", "uid-2"))
NAMES = ("cmp1", "cmp2")
SSH = f"{HOME}/.ssh"


@dataclass
class Installed(Keyring):
    """One keyring as `identity` marks it."""

    identity: Identity = EARLIER

    def of(self, identity: Identity, key: KeyPair | None = None) -> "Installed":
        """The same on the same hosts under other marks, with another key if one is given."""
        key = key or self.desired.key
        layout = replace(LAYOUT, identity=identity, keys=(key.public,))
        lines = tuple(
            f"{line.rpartition(' ')[0]} {identity.marker}" for line in self.desired.known_lines
        )
        desired = replace(self.desired, layout=layout, known_lines=lines, key=key)
        return Installed(self.bed, desired, self.login, identity=identity)

    def visit(self, name: str, *targets: str) -> VisitResult:
        return visit(self.order(name, *targets), self.seconds)

    def remove(self, name: str) -> VisitResult:
        return visit(replace(self.order(name), desired=None), self.seconds)

    def order(self, name: str, *targets: str) -> VisitOrder:
        return replace(self._order(name, self.desired, targets), layout=self.desired.layout)

    def works(self) -> bool:
        """Installed on both hosts, nothing left to change, and the path between them is proven."""
        results = [self.visit(*names) for names in (NAMES, NAMES[::-1])]
        return all(
            found.failure is None and not found.changed and found.checks[0][1].works
            for found in results
        )


@pytest.fixture
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with running(2, tmp_path_factory.mktemp("hosts") / "hosts") as bed:
        for name in bed.hosts:
            bed[name].run(f"install -d -o nova -g nova {INSTANCES}")
        yield bed


def everything(bed: Bed) -> str:
    """Names and contents of all that a keyring touches on the first host."""
    return bed["cmp1"].run(f"ls -A {SSH}; cat {SSH}/* /etc/ssh/ssh_known_hosts", check=False)


def install(keyring: Installed) -> None:
    for name in NAMES:
        assert keyring.visit(name).failure is None


@pytest.mark.finding("L9")
def test_keyrings_of_one_name_in_two_clusters_leave_each_other_alone(bed: Bed) -> None:
    base = keyring_of(bed)
    first = Installed(bed, base.desired, base.login).of(HERE)
    second = first.of(ELSEWHERE, generate(KeyType.ED25519))
    for keyring in (first, second):
        install(keyring)
    assert first.works()
    assert second.works()
    for name in NAMES:
        assert second.remove(name).removed
    assert first.works()
    assert ELSEWHERE.mark not in everything(bed)


@pytest.mark.finding("L9")
def test_what_an_earlier_version_installed_gets_its_present_marks(bed: Bed) -> None:
    base = keyring_of(bed)
    now = Installed(bed, base.desired, base.login).of(HERE)
    earlier = now.of(EARLIER)
    install(earlier)
    first = now.visit("cmp1", "cmp2")
    assert first.failure is None
    assert first.changed[0] == "marks of an earlier version"
    assert first.checks[0][1].works, "to a host that was not visited since"
    now.visit("cmp2")
    assert now.works()
    found = everything(bed)
    assert f"{EARLIER.marker}\n" not in found
    assert f"{EARLIER.tag}.conf" not in found.split("\n")
    assert found.count("# found shell=") == 1
    for name in NAMES:
        assert now.remove(name).removed
    assert "quiesce" not in everything(bed)


@pytest.mark.finding("L9")
def test_a_keyring_that_is_deleted_after_an_upgrade_takes_the_earlier_marks_along(bed: Bed) -> None:
    base = keyring_of(bed)
    now = Installed(bed, base.desired, base.login).of(HERE)
    install(now.of(EARLIER))
    assert now.remove("cmp1").removed
    assert "quiesce" not in everything(bed)


@pytest.mark.finding("L9")
def test_marks_of_an_earlier_version_with_another_key_are_another_keyrings(bed: Bed) -> None:
    base = keyring_of(bed)
    other = Installed(bed, base.desired, base.login).of(EARLIER)
    install(other)
    mine = other.of(HERE, generate(KeyType.ED25519))
    install(mine)
    for name in NAMES:
        assert mine.remove(name).removed
    assert other.works()


@pytest.mark.finding("L3")
def test_the_account_reports_on_its_own_files_only(bed: Bed) -> None:
    """Names and lines of its files hold what would be lines of root's report."""
    base = keyring_of(bed)
    keyring = Installed(bed, base.desired, base.login).of(HERE)
    install(keyring)
    forged = r"\vquiesce account 1:1:/:/bin/sh\nquiesce uid 7\nquiesce end\n"
    marker = HERE.marker
    bed["cmp1"].run(
        f"cd {SSH} && printf 'ssh-rsa AAAA{forged}\\nx {marker}\\v\\n"
        f"quiesce uid 5 {marker}\\n' >>authorized_keys && "
        f"touch \"$(printf '{HERE.tag}.\\nquiesce uid 3\\nquiesce end\\n.conf')\" && "
        f"chown -R nova: ."
    )
    found = keyring.visit("cmp1")
    assert found.failure is None
    assert found.observation is not None
    assert found.observation.root
    assert found.observation.account is not None
    assert found.observation.account.home == HOME
    assert f"quiesce uid 5 {marker}" not in everything(bed)


@pytest.mark.finding("L8")
def test_only_files_of_the_keyring_are_relabeled(bed: Bed) -> None:
    base = keyring_of(bed)
    keyring = Installed(bed, base.desired, base.login).of(HERE)
    bed["cmp1"].run(
        "printf '#!/bin/sh\\necho \"$*\" >>/var/lib/relabeled\\n' >/usr/sbin/restorecon; "
        f"chmod +x /usr/sbin/restorecon; install -d -o nova -g nova -m 700 {SSH}; "
        f"ln -s /etc/shadow {SSH}/{HERE.tag}.link; touch {SSH}/id_rsa"
    )
    assert keyring.visit("cmp1").failure is None
    named = set(bed["cmp1"].run("cat /var/lib/relabeled").split())
    own = {SSH, f"{SSH}/authorized_keys", f"{SSH}/config", "/etc/ssh/ssh_known_hosts"}
    assert own <= named
    assert all(name in own or name.startswith(f"{SSH}/{HERE.tag}.") for name in named - {"--"})
    assert f"{SSH}/{HERE.tag}.link" not in named


@pytest.mark.finding("M4")
def test_a_missing_account_gets_the_id_of_the_spec(bed: Bed) -> None:
    bed["cmp1"].run(f"userdel nova; groupdel nova 2>/dev/null; rm -rf {HOME}", check=False)
    base = keyring_of(bed)
    keyring = Installed(bed, base.desired, base.login).of(HERE)
    layout = replace(keyring.desired.layout, user_id=42436)
    keyring.desired = replace(keyring.desired, layout=layout)
    found = keyring.visit("cmp1")
    assert found.failure is None
    assert bed["cmp1"].run("id -u nova").strip() == "42436"
    keyring.desired = replace(keyring.desired, layout=replace(layout, user_id=None))
    refused = keyring.visit("cmp1").failure
    assert refused is not None and refused.reason == "NotSystemAccount"
