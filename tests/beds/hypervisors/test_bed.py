"""What needs no bed: its settings, and how a console is read."""

from pathlib import Path

import pytest
from tests.beds.hosts.hosts import BedError
from tests.beds.hypervisors.settings import settings
from tests.harness.hypervisors import Report, last_report

LINE = "GUEST marker-0a9dd2b2 boot 2 id 4866b2b3 payload {payload} counter {counter} up 12.35\r\n"


@pytest.mark.parametrize(
    ("variable", "value"),
    [("NETWORK", "10.213.191.0/24"), ("PORT_BASE", "many"), ("VIRT_TYPE", "vmware")],
)
def test_a_senseless_setting_is_refused_by_name(variable: str, value: str) -> None:
    with pytest.raises(BedError, match=f"QUIESCE_HYPERVISORS_{variable}"):
        settings({f"QUIESCE_HYPERVISORS_{variable}": value})


def test_its_cloud_is_its_own_whatever_the_caller_has_set_for_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("QUIESCE_CLOUD_RUN", str(tmp_path / "another"))
    monkeypatch.setenv("QUIESCE_CLOUD_PORT_NOVA", "9000")
    found = settings({"QUIESCE_HYPERVISORS_RUN": str(tmp_path / "own")})
    assert found.cloud.run == tmp_path / "own/cloud"
    assert found.cloud_environment["QUIESCE_CLOUD_PORT_NOVA"] == ""


@pytest.mark.parametrize(
    ("console", "report"),
    [
        ("", None),
        ("SeaBIOS (version 1.16.2)\r\n", None),
        (
            LINE.format(payload="whole", counter=7),
            Report("marker-0a9dd2b2", 2, "4866b2b3", True, 7),
        ),
        (
            LINE.format(payload="whole", counter=7)
            + LINE.format(payload="DAMAGED", counter=8)
            + "GUEST power button\r\n",
            Report("marker-0a9dd2b2", 2, "4866b2b3", False, 8),
        ),
        (
            LINE.format(payload="whole", counter=12)
            + LINE.format(payload="whole", counter=13)[:-12],
            Report("marker-0a9dd2b2", 2, "4866b2b3", True, 12),
        ),
    ],
)
def test_the_last_report_is_the_last_whole_line(console: str, report: Report | None) -> None:
    assert last_report(console) == report
