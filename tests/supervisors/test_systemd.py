"""nova-compute as a unit of a real systemd: wherever its file lies, and however it is made to
start.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.supervisors.conftest import Supervised

from quiesce.api.host import Supervisor
from quiesce.compute import NoSuchUnit, StopFailed, Unit, UnitState, control
from quiesce.ssh.errors import TimedOut

LIB, ETC = "/usr/lib/systemd/system", "/etc/systemd/system"
PROGRAM = "/opt/nova-compute"
SERVICE = f"""\
[Service]
Type=exec
Restart=always
ExecStart=/usr/bin/python3 {PROGRAM}
ExecStop=/bin/sh -c 'echo %n >>/var/lib/stopped'
"""
WANTED = "[Install]\nWantedBy=multi-user.target\n"


def unit_that_wants(name: str) -> str:
    return f"[Unit]\nWants={name}.service\n[Service]\nExecStart=/bin/sleep inf\n{WANTED}"


@dataclass(frozen=True)
class Case:
    """A way in which a unit comes to be: its files, what an administrator did, and systemd's word
    for it.
    """

    unit: str
    files: dict[str, str]
    made: str
    boot: str = "enabled"
    main: str = ""
    """Its name where `unit` is an alias."""
    at_boot: bool = True


CASES = {
    "package": Case(
        "nova-compute",
        {f"{LIB}/nova-compute.service": SERVICE + WANTED},
        "systemctl enable nova-compute",
    ),
    "full name": Case(
        "a-nova.service", {f"{LIB}/a-nova.service": SERVICE + WANTED}, "systemctl enable a-nova"
    ),
    "kolla, whose files lie in /etc": Case(
        "kolla-nova_compute-container.service",
        {f"{ETC}/kolla-nova_compute-container.service": SERVICE + WANTED},
        "systemctl enable kolla-nova_compute-container",
    ),
    "static": Case(
        "nova-static",
        {f"{LIB}/nova-static.service": SERVICE},
        f"ln -s ../nova-static.service {LIB}/multi-user.target.wants/",
        "static",
    ),
    "static, in /etc, wanted by another unit": Case(
        "nova-pulled",
        {
            f"{ETC}/nova-pulled.service": SERVICE,
            f"{ETC}/puller.service": unit_that_wants("nova-pulled"),
        },
        "systemctl enable puller",
        "static",
    ),
    "disabled, and wanted by another unit": Case(
        "nova-wanted",
        {
            f"{ETC}/nova-wanted.service": SERVICE + WANTED,
            f"{ETC}/wanter.service": unit_that_wants("nova-wanted"),
        },
        "systemctl enable wanter",
        "disabled",
    ),
    "instance": Case(
        "nova-compute@cell-1.rack_2",
        {f"{LIB}/nova-compute@.service": SERVICE + WANTED},
        "systemctl enable nova-compute@cell-1.rack_2",
    ),
    "linked from elsewhere": Case(
        "nova-linked",
        {"/opt/nova/nova-linked.service": SERVICE + WANTED},
        "systemctl enable /opt/nova/nova-linked.service",
    ),
    "alias": Case(
        "nova-alias",
        {f"{LIB}/openstack-nova.service": f"{SERVICE}{WANTED}Alias=nova-alias.service\n"},
        "systemctl enable openstack-nova",
        main="openstack-nova",
    ),
    "alias of the package": Case(
        "nova-other",
        {f"{LIB}/nova-main.service": SERVICE + WANTED},
        f"ln -s nova-main.service {LIB}/nova-other.service; systemctl enable nova-main",
        main="nova-main",
    ),
    "with settings of its own": Case(
        "nova-tuned",
        {
            f"{LIB}/nova-tuned.service": SERVICE + WANTED,
            f"{ETC}/nova-tuned.service.d/limits.conf": "[Service]\nLimitNOFILE=1024\n",
        },
        "systemctl enable nova-tuned",
    ),
    "enabled until the next boot": Case(
        "nova-runtime",
        {f"{LIB}/nova-runtime.service": SERVICE + WANTED},
        "systemctl enable --runtime nova-runtime",
        "enabled-runtime",
        at_boot=False,
    ),
}


def unit(name: str) -> Unit:
    return Unit(Supervisor.SYSTEMD, name)


def made(supervised: Supervised, *cases: Case) -> Unit:
    """Installed, and running. The (last) unit."""
    for case in cases:
        for path, text in case.files.items():
            supervised.write(path, text)
    steps = "; ".join(case.made for case in cases)
    supervised.run(
        f"{steps}; systemctl daemon-reload; systemctl start {' '.join(case.unit for case in cases)}"
    )
    return unit(cases[-1].unit)


def administration(supervised: Supervised) -> str:
    """Every file, link and directory that says what starts, but for the dates."""
    return supervised.run(
        f"cd {ETC} && find . -printf '%p %y %m %l ' -type f -exec sha256sum {{}} ';' -o -printf "
        "'\\n' | sort"
    )


@pytest.fixture(scope="module", autouse=True)
def all_made(supervised: Supervised) -> None:
    supervised.write(PROGRAM, "import time\nwhile True: time.sleep(3600)")
    made(supervised, *CASES.values())


@pytest.fixture
def alone(supervised: Supervised) -> Iterator[None]:
    """No other nova-compute runs: one that the unit is not would be reported."""
    units = " ".join(case.unit for case in CASES.values())
    supervised.run(f"systemctl stop 'nova-*.service' {units}")
    yield
    supervised.run(f"systemctl start {units}")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_stopped_so_that_nothing_starts_it_and_restored_as_found(
    supervised: Supervised, case: Case
) -> None:
    wanted, before = unit(case.unit), administration(supervised)
    main = (case.main or case.unit.removesuffix(".service")) + ".service"
    supervised.run("rm -f /var/lib/stopped")

    found = supervised.look(wanted)
    assert found == UnitState(True, case.boot)
    assert administration(supervised) == before

    for _ in range(2):
        assert not supervised.stop(wanted).running
    assert (
        supervised.run(f"systemctl show -p ActiveState --value '{case.unit}'").strip() == "inactive"
    )
    assert supervised.run("cat /var/lib/stopped").strip() == main  # in its own way, and once
    supervised.fails(f"systemctl start '{case.unit}'")
    supervised.fails(f"systemctl restart '{main}'")
    assert not supervised.look(wanted).running

    for _ in range(2):
        assert supervised.restore(wanted, found) == found
    assert administration(supervised) == before
    supervised.run(f"systemctl restart '{case.unit}'")


def test_all_stay_down_over_boots_and_start_at_the_next_one_once_restored(
    supervised: Supervised,
) -> None:
    """Those that a boot starts by itself; that it does so without us is seen first, and last."""
    units = [unit(case.unit) for case in CASES.values() if case.at_boot]
    supervised.reboot()
    with supervised.open() as session:
        found = {each: control.observe(session, each) for each in units}
        assert all(state.running for state in found.values())
        for each in units:
            control.stop(session, each)

    for boot in (supervised.reboot, supervised.power_cut):
        boot()
        with supervised.open() as session:
            assert [each for each in units if control.observe(session, each).running] == []

    with supervised.open() as session:
        for each in units:
            control.stop(session, each)
            assert control.restore(session, each, found[each]) == found[each]
    supervised.reboot()
    with supervised.open() as session:
        assert {each: control.observe(session, each) for each in units} == found


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    ("then", "boot"),
    [
        ("disable --now", "disabled"),
        ("mask --now", "masked"),
        ("mask --runtime --now", "masked-runtime"),
        ("stop", "enabled"),
    ],
)
def test_what_did_not_run_is_kept_down_and_left_as_it_was(
    supervised: Supervised, then: str, boot: str
) -> None:
    wanted = made(
        supervised,
        Case(
            "nova-compute-idle",
            {f"{LIB}/nova-compute-idle.service": SERVICE + WANTED},
            "systemctl enable nova-compute-idle",
        ),
    )
    supervised.run(f"systemctl {then} nova-compute-idle")
    before = administration(supervised)

    found = supervised.look(wanted)
    assert found == UnitState(False, boot)
    for _ in range(2):
        assert not supervised.stop(wanted).running
    supervised.fails("systemctl start nova-compute-idle")

    assert supervised.restore(wanted, found) == found
    assert administration(supervised) == before
    for option in ("", "--runtime"):
        supervised.run(f"systemctl unmask {option} nova-compute-idle")


@pytest.mark.usefixtures("alone")
def test_a_mask_until_the_next_boot_is_not_taken_for_one_that_stays(supervised: Supervised) -> None:
    wanted = made(
        supervised,
        Case(
            "nova-compute-idle",
            {f"{LIB}/nova-compute-idle.service": SERVICE + WANTED},
            "systemctl enable nova-compute-idle",
        ),
    )
    supervised.run("systemctl mask --runtime --now nova-compute-idle")

    supervised.stop(wanted)
    supervised.power_cut()

    assert not supervised.look(wanted).running
    supervised.restore(wanted, UnitState(False, "masked-runtime"))
    supervised.run("systemctl start nova-compute-idle")


@pytest.mark.usefixtures("alone")
def test_one_that_waits_to_be_restarted_counts_as_running_and_is_stopped(
    supervised: Supervised,
) -> None:
    start = "ExecStart=/bin/false nova-compute"
    broken = f"[Service]\n{start}\nRestart=always\nRestartSec=1h\n" + WANTED
    wanted = made(
        supervised,
        Case("nova-loop", {f"{ETC}/nova-loop.service": broken}, "systemctl enable nova-loop"),
    )
    supervised.run(
        "until systemctl show -p SubState nova-loop | grep -q auto-restart; do sleep 0.05; done"
    )

    assert supervised.look(wanted) == UnitState(True, "enabled")
    assert not supervised.stop(wanted).running
    assert supervised.run("systemctl show -p SubState --value nova-loop").strip() in (
        "dead",
        "failed",
    )


def test_a_stop_that_outlasts_the_session_is_held_already_and_ends_with_the_next_one(
    supervised: Supervised,
) -> None:
    """ExecStop waits until it is let go. Cut off in the middle, nothing can start the unit any
    more.
    """
    slow = (
        SERVICE
        + "TimeoutStopSec=60\nExecStop=/bin/sh -c 'until [ -e /run/let-go ]; do sleep 0.05; done'\n"
        + WANTED
    )
    wanted = made(
        supervised,
        Case("nova-slow", {f"{ETC}/nova-slow.service": slow}, "systemctl enable nova-slow"),
    )
    found = supervised.look(wanted)

    with pytest.raises(TimedOut), supervised.open(seconds=3.0) as session:
        control.stop(session, wanted)
    assert supervised.look(wanted).running
    supervised.run(
        "touch /run/let-go; until systemctl show -p ActiveState nova-slow | grep -q inactive; do "
        "sleep 0.05; done"
    )
    supervised.fails("systemctl start nova-slow")

    assert not supervised.stop(wanted).running
    assert supervised.restore(wanted, found) == found


def test_one_that_cannot_be_kept_from_starting_is_not_stopped(supervised: Supervised) -> None:
    wanted = made(
        supervised,
        Case("nova-ro", {f"{LIB}/nova-ro.service": SERVICE + WANTED}, "systemctl enable nova-ro"),
    )
    supervised.run(f"mount --bind {ETC} {ETC} && mount -o remount,bind,ro {ETC}")
    try:
        with pytest.raises(StopFailed, match="Read-only file system"):
            supervised.stop(wanted)
        assert supervised.look(wanted) == UnitState(True, "enabled")
    finally:
        supervised.run(f"umount {ETC}")


def test_one_that_does_not_start_again_is_an_error_in_systemds_words(
    supervised: Supervised,
) -> None:
    wanted = made(
        supervised,
        Case(
            "nova-gone",
            {f"{LIB}/nova-gone.service": SERVICE + WANTED},
            "systemctl enable nova-gone",
        ),
    )
    found = supervised.look(wanted)
    supervised.stop(wanted)
    supervised.run("systemctl mask nova-gone")

    with pytest.raises(StopFailed, match="masked"):
        supervised.restore(wanted, found)

    supervised.run("systemctl unmask nova-gone")
    assert supervised.restore(wanted, found) == found


@pytest.mark.parametrize("name", ["no-such-thing", "nova-compute@", "-o"])
def test_a_name_that_is_no_unit_is_an_error_that_says_where_to_set_it(
    supervised: Supervised, name: str
) -> None:
    with pytest.raises(NoSuchUnit) as caught:
        supervised.look(unit(name))
    assert "service.stop" in caught.value.remedies[0]


def test_a_systemd_that_does_not_answer_is_not_taken_for_one_that_knows_no_unit(
    supervised: Supervised,
) -> None:
    supervised.run("mv /usr/bin/systemctl /usr/bin/systemctl.away")
    try:
        with pytest.raises(StopFailed, match="not found") as caught:
            supervised.look(unit("nova-compute"))
    finally:
        supervised.run("mv /usr/bin/systemctl.away /usr/bin/systemctl")
    assert not isinstance(caught.value, NoSuchUnit)


def test_a_person_on_the_host_is_told_why_it_does_not_start(supervised: Supervised) -> None:
    wanted = made(
        supervised,
        Case(
            "nova-told",
            {f"{LIB}/nova-told.service": SERVICE + WANTED},
            "systemctl enable nova-told",
        ),
    )
    found = supervised.look(wanted)
    supervised.stop(wanted)

    assert "Assertion failed" in supervised.fails("systemctl start nova-told")
    assert "quiesce" in supervised.run("systemctl status nova-told || :")

    supervised.restore(wanted, found)


@pytest.mark.usefixtures("alone")
def test_by_hand_it_is_started_as_it_was_found(supervised: Supervised) -> None:
    """As docs/troubleshooting.md says for a drain that was released without it."""
    files = {f"{LIB}/nova-compute-by-hand.service": SERVICE + WANTED}
    name = "nova-compute-by-hand"
    wanted = made(supervised, Case(name, files, f"systemctl enable {name}"))
    found, before = supervised.look(wanted), administration(supervised)
    supervised.stop(wanted)
    folder = f"/etc/systemd/system/{name}.service.d"
    supervised.run(f"rm {folder}/quiesce.conf; systemctl daemon-reload; systemctl start {name}")
    assert supervised.look(wanted) == found
    supervised.run(f"rmdir {folder}")  # nothing else is left of it
    assert administration(supervised) == before


@pytest.mark.usefixtures("alone")
@pytest.mark.field_case("F23")
@pytest.mark.parametrize(
    ("slice_", "reason"),
    [
        ("kubepods-besteffort-pod0c5f3f0e.slice", "RunsInPod"),
        ("machine.slice", "RunsElsewhere"),
    ],
)
def test_a_nova_compute_that_the_unit_is_not(
    supervised: Supervised, slice_: str, reason: str
) -> None:
    """In the control group that a kubelet with the systemd driver makes for a pod, or any other;
    the package's unit is on the host, and does not run.
    """
    supervised.write(f"{LIB}/nova-not-started.service", SERVICE + WANTED)
    supervised.run(
        f"systemctl daemon-reload; systemd-run --slice={slice_} --unit=a-pod "
        f"/usr/bin/python3 {PROGRAM}; "
        "until grep -lzq '/nova-compute$' /proc/[0-9]*/cmdline; do sleep 0.05; done"
    )
    unit = Unit(Supervisor.SYSTEMD, "nova-not-started")
    try:
        with pytest.raises(StopFailed) as caught:
            supervised.look(unit)
        assert caught.value.reason == reason
        assert "running" not in supervised.run("systemctl show -p SubState nova-not-started")
    finally:
        supervised.run("systemctl stop a-pod")
    assert not supervised.look(unit).running


@pytest.mark.finding("M13")
@pytest.mark.parametrize("name", ["ssh", "ssh.service", "system.slice", "cron"])
def test_another_unit_is_left_alone(supervised: Supervised, name: str) -> None:
    before = administration(supervised)
    with pytest.raises(StopFailed) as caught:
        supervised.stop(unit(name))
    assert caught.value.reason in ("NotNovaCompute", "UnitNotFound", "RunsElsewhere")
    assert administration(supervised) == before
