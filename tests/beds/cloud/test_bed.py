"""The bed's own promises: it harms nothing that is not its own, and says what is wrong."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.beds.cloud.cloudbed import cli, faults, packages, processes, releases, settings
from tests.beds.cloud.cloudbed.errors import BedError

TABLE = {
    "servers": {"bad-*": {"spawn": "fail"}, "6b1f": {"spawn": "sleep:6"}},
    "hosts": {"cmp1": {"spawn": "sleep:1", "destroy": "hang"}},
    "all": {"spawn": "sleep:2", "spawn:cmp3": "sleep:3"},
}


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[processes.Processes]:
    found = processes.Processes(tmp_path, tmp_path / "pid", tmp_path)
    yield found
    for name in found.names():
        found.stop(name, 1, signal.SIGKILL)


class TestSettings:
    def test_ports_are_distinct_and_not_handed_out_by_the_kernel(self) -> None:
        first_of_the_kernel = 32768
        ports = {settings.Knobs().port(service) for service in settings.PORTS}
        assert len(ports) == len(settings.PORTS)
        assert max(ports) < first_of_the_kernel

    def test_the_environment_overrides_a_knob(self) -> None:
        chosen = settings.chosen(
            {"QUIESCE_CLOUD_COMPUTES": "7", "QUIESCE_CLOUD_HOST_PREFIX": "node"}
        )
        assert settings.Knobs(**chosen).hosts()[-1] == "node7"

    def test_there_may_be_no_computes(self) -> None:
        assert settings.settle(None, settings.chosen({"QUIESCE_CLOUD_COMPUTES": "0"})).hosts() == []

    def test_one_port_can_be_moved_alone(self) -> None:
        knobs = settings.Knobs(port_nova=9000)
        assert knobs.port("nova") == 9000
        assert knobs.port("glance") == settings.Knobs().port("glance")

    @pytest.mark.parametrize(
        ("environment", "message"),
        [
            ({"QUIESCE_CLOUD_COMPUTES": "many"}, "COMPUTES='many' is not a whole number"),
            ({"QUIESCE_CLOUD_SERVICE_DOWN_TIME": "3"}, "computes would flap"),
            ({"QUIESCE_CLOUD_PORT_NOVA": "21500"}, "both have port 21500"),
        ],
    )
    def test_senseless_knobs_are_refused_by_name(
        self, environment: dict[str, str], message: str
    ) -> None:
        with pytest.raises(BedError, match=message):
            settings.settle(None, settings.chosen(environment))

    def test_a_running_cloud_takes_more_computes_and_nothing_else(self) -> None:
        running = settings.Knobs(computes=4, max_live_migrations=1)
        assert settings.settle(running, {"computes": 6}).computes == 6
        assert settings.settle(running, {}) == running
        with pytest.raises(BedError, match=r"MAX_LIVE_MIGRATIONS=1, not 4; run `cloud down` first"):
            settings.settle(running, {"max_live_migrations": 4})


class TestFolders:
    def test_a_folder_with_something_else_in_it_is_never_taken_over(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.txt").touch()
        with pytest.raises(BedError, match="is not empty and not a cloud's"):
            cli.claim(tmp_path, "2026.2")

    def test_a_folder_once_taken_stays_ours(self, tmp_path: Path) -> None:
        cli.claim(tmp_path / "run", "2026.2")
        (tmp_path / "run/state").touch()
        cli.claim(tmp_path / "run", "2026.2")


class TestReleases:
    def find(self, run: Path, release: str = "") -> settings.Paths:
        return settings.find_paths(
            {"QUIESCE_CLOUD_RUN": os.fspath(run), "QUIESCE_CLOUD_RELEASE": release}
        )

    def test_an_older_one_has_an_environment_of_its_own_for_nova_alone(
        self, tmp_path: Path
    ) -> None:
        newest, older = self.find(tmp_path / "a"), self.find(tmp_path / "b", "2024.1")
        assert newest.nova_venv == newest.venv == older.venv
        assert older.nova_venv != older.venv

    def test_a_run_folder_stays_with_its_release(self, tmp_path: Path) -> None:
        cli.claim(tmp_path / "run", "ussuri")
        assert self.find(tmp_path / "run").release.name == "ussuri"
        with pytest.raises(
            BedError, match=r"holds a cloud of ussuri, not of 2024.1; unset QUIESCE_CLOUD_RELEASE"
        ):
            self.find(tmp_path / "run", "2024.1")

    def test_one_that_is_not_there_is_refused_with_those_that_are(self, tmp_path: Path) -> None:
        with pytest.raises(BedError, match=r"no release 'bexar'; there are 2026.2, .*ussuri"):
            self.find(tmp_path / "run", "bexar")

    @pytest.mark.parametrize("release", releases.RELEASES.values(), ids=releases.RELEASES)
    def test_the_lock_has_the_nova_that_is_promised(self, release: releases.Release) -> None:
        assert f"\nnova=={release.nova} " in (settings.HERE / release.lock).read_text()

    def test_a_python_that_does_not_run_is_no_python(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shim = tmp_path / "python3.8"  # as pyenv has them for versions that are not chosen
        shim.write_text("#!/bin/sh\nexit 127\n")
        shim.chmod(0o755)
        monkeypatch.setenv("PATH", os.fspath(tmp_path))
        monkeypatch.setenv("PYENV_ROOT", os.fspath(tmp_path))
        assert "needs Python 3.8" in releases.why_not(releases.RELEASES["ussuri"])


class TestServicesStayStopped:
    def test_a_policy_of_the_machine_is_left_alone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        policy = tmp_path / "policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 0\n")
        monkeypatch.setattr(packages, "POLICY", policy)
        with packages.services_stay_stopped():
            assert policy.read_text() == "#!/bin/sh\nexit 0\n"
        assert policy.exists()

    def test_ours_forbids_all_and_goes_even_after_a_failure(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        policy = tmp_path / "policy-rc.d"
        monkeypatch.setattr(packages, "POLICY", policy)

        def failing_installation() -> None:
            with packages.services_stay_stopped():
                assert subprocess.run([policy], check=False).returncode == 101
                raise OSError

        with pytest.raises(OSError):
            failing_installation()
        assert not policy.exists()

    def test_one_left_by_a_killed_installation_is_cleared_away(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        policy = tmp_path / "policy-rc.d"
        policy.write_text(packages.POLICY_TEXT)
        monkeypatch.setattr(packages, "POLICY", policy)
        with packages.services_stay_stopped():
            pass
        assert not policy.exists()


class TestProcesses:
    def test_a_stopped_process_takes_its_children_along(
        self, recorded: processes.Processes, tmp_path: Path
    ) -> None:
        script = "trap 'exit 0' TERM; sleep 600 & echo $! > child; wait"
        recorded.start("parent", ["sh", "-c", script])
        while not (tmp_path / "child").exists() or not (tmp_path / "child").read_text():
            assert recorded.pid("parent")
        child = int((tmp_path / "child").read_text())
        recorded.stop("parent", 0.1)
        assert recorded.names() == []
        left = processes.read_stat(child)
        assert left is None or left.state == "Z"

    def test_a_reused_pid_is_not_ours(self, recorded: processes.Processes) -> None:
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
            stat = processes.read_stat(stranger.pid)
            assert stat
            recorded.folder.mkdir()
            (recorded.folder / "old").write_text(f"{stranger.pid} {stat.started - 1}\n")
            assert recorded.pid("old") is None
            recorded.stop("old", 1)
            assert stranger.poll() is None
            stranger.kill()

    def test_a_dead_process_is_reported_with_its_last_words(
        self, recorded: processes.Processes
    ) -> None:
        recorded.start("brief", ["sh", "-c", "echo no such table; exit 3"])
        while recorded.pid("brief"):
            pass
        with pytest.raises(BedError, match="no such table"):
            recorded.check("brief")

    def test_services_do_not_see_the_callers_environment(
        self, recorded: processes.Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OS_CLOUD", "production")
        recorded.start("env", ["sh", "-c", "env > seen; pwd >> seen"])
        while recorded.pid("env"):
            pass
        seen = (tmp_path / "seen").read_text()
        assert "OS_CLOUD" not in seen
        assert seen.splitlines()[-1] == os.fspath(tmp_path)


class TestFaults:
    @pytest.mark.parametrize(
        ("metadata", "uuid", "name", "host", "spec"),
        [
            ({"fault.spawn": "sleep:9"}, "1", "bad-1", "cmp1", "sleep:9"),
            ({"fault.spawn:cmp2": "sleep:9"}, "1", "bad-1", "cmp1", "fail"),
            ({"owner": "me"}, "1", "bad-1", "cmp1", "fail"),
            ({}, "6b1f", "good", "cmp1", "sleep:6"),
            ({}, "1", "good", "cmp1", "sleep:1"),
            ({}, "1", "good", "cmp2", "sleep:2"),
            ({}, "1", "good", "cmp3", "sleep:3"),
        ],
    )
    def test_the_most_particular_fault_wins(
        self, metadata: dict[str, str], uuid: str, name: str, host: str, spec: str
    ) -> None:
        found = faults.find(TABLE, metadata, uuid, name, host, "spawn")
        assert found
        assert found.spec == spec

    def test_no_fault_for_other_operations(self) -> None:
        assert faults.find(TABLE, {}, "1", "bad-1", "cmp2", "destroy") is None

    @pytest.mark.parametrize(
        ("spec", "fault"),
        [
            ("sleep:1.5", faults.Fault(seconds=1.5)),
            ("hang", faults.Fault(seconds=float("inf"))),
            ("fail,once", faults.Fault(fails=True, once=True)),
            (
                "sleep:2, fail:InstanceFaultRollback",
                faults.Fault(2, fails=True, exception="InstanceFaultRollback"),
            ),
            ("ssh:host-key", faults.Fault(words=frozenset(("ssh:host-key",)))),
            ("fail,swallowed", faults.Fault(fails=True, words=frozenset(("swallowed",)))),
        ],
    )
    def test_specs(self, spec: str, fault: faults.Fault) -> None:
        assert faults.parse(spec) == fault

    @pytest.mark.parametrize(
        "setting",
        ["spawn=explode", "spawn", "spawn=", "teleport=fail", "spawn=sleep:x", "spawn=ssh:x"],
    )
    def test_a_wrong_setting_is_refused(self, setting: str) -> None:
        with pytest.raises(BedError):
            faults.with_faults({}, "all", [setting])

    def test_a_wrong_scope_is_refused(self) -> None:
        with pytest.raises(BedError, match="'cmp1' is no scope"):
            faults.with_faults({}, "cmp1", ["spawn=fail"])

    def test_a_fault_is_in_force_until_it_is_cleared(self) -> None:
        table = faults.with_faults({}, "host:cmp1", ["live_migration=hang"])
        found = faults.find(table, {}, "1", "a", "cmp1", "live_migration")
        assert found
        assert faults.present(table, found)
        assert not faults.present(faults.without_scope(table, "host:cmp1"), found)
        assert faults.without_scope(table, "host:cmp1") == {}

    def test_clearing_one_scope_leaves_the_others(self) -> None:
        table = faults.with_faults(TABLE, "server:x", ["resume=fail"])
        assert faults.without_scope(table, "server:x") == TABLE

    def test_a_damaged_file_is_an_error_that_says_what_to_do(self, tmp_path: Path) -> None:
        (tmp_path / "faults.json").write_text("{")
        with pytest.raises(BedError, match="cloud faults clear"):
            faults.load(tmp_path / "faults.json")
