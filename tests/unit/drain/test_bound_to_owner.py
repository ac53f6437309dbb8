"""Servers that Nova moves for nobody, only for their owner, or only in one way."""

from typing import Any

import pytest
from tests.unit.drain.build import (
    FOUND,
    NOW,
    cause,
    flavor,
    migration,
    observed,
    replace,
    said,
    server,
    service,
    spec,
    status_of,
    told,
    verdict,
)
from tests.unit.drain.test_rules import METHODS

from quiesce.api.drain.spec import DrainSpec
from quiesce.drain.model.history import History
from quiesce.drain.model.observation import Observation, PlanReads
from quiesce.drain.model.verdict import Wait
from quiesce.openstack.records import Server

TPM = {"hw__tpm_version": "2.0"}
HOST_TPM = TPM | {"hw__tpm_secret_security": "host"}
DEPLOYMENT_TPM = TPM | {"hw__tpm_secret_security": "deployment"}


def by_method(one: Server, **fields: Any) -> tuple[str, ...]:
    """Its verdict under Cold, Live and LiveThenCold."""
    return tuple(said(verdict(observed([one], **fields), spec(method))) for method in METHODS)


def live_failed(one: Server, text: str = "copy failed", seconds: float = 1000) -> Observation:
    moves = [migration(FOUND + n, "failed", type="live-migration") for n in (1, 2, 3)]
    return observed([one], moves, causes={m.id: cause(text, seconds) for m in moves})


@pytest.mark.field_case("F5")
@pytest.mark.parametrize("status", ["ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED"])
@pytest.mark.parametrize("of_what", ["flavor", "image"])
def test_a_tpm_of_its_owner_is_not_moved_by_us(status: str, of_what: str) -> None:
    asked: dict[str, Any] = (
        {"flavor": flavor(**TPM)}
        if of_what == "flavor"
        else {"image_properties": {"hw_tpm_version": "1.2"}}
    )
    one = server("s1", status, **asked)
    assert by_method(one) == ("blocked VirtualTPM",) * 3
    resuming = spec("Cold", servers={"suspended": "Resume"})
    assert said(verdict(observed([one]), resuming)) == "blocked VirtualTPM"
    text = told(verdict(observed([one])))
    assert "openstack server resize --flavor FLAVOR s1" in text
    assert "migrate" not in text.replace("live-migrated", "")


@pytest.mark.field_case("F5")
@pytest.mark.parametrize(
    ("specs", "status", "wanted"),
    [
        (HOST_TPM, "ACTIVE", ("blocked VirtualTPM", "live", "live")),
        (HOST_TPM, "SHUTOFF", ("blocked VirtualTPM",) * 3),
        (HOST_TPM, "PAUSED", ("blocked Paused", "live", "live")),
        (DEPLOYMENT_TPM, "ACTIVE", ("cold", "live", "live")),
        (DEPLOYMENT_TPM, "SHUTOFF", ("cold",) * 3),
    ],
)
def test_the_mode_of_a_tpm_decides(
    specs: dict[str, str], status: str, wanted: tuple[str, str, str]
) -> None:
    assert by_method(server("s1", status, flavor=flavor(**specs))) == wanted


@pytest.mark.field_case("F5")
@pytest.mark.parametrize("volume_backed", [False, True])
def test_whether_an_image_asks_for_a_tpm_is_waited_for(volume_backed: bool) -> None:
    one = server(image_read=False, volume_backed=volume_backed)
    assert by_method(one) == ("wait ServerNotRead", "live", "live")
    service = "Cinder" if volume_backed else "Glance"
    found = verdict(observed([one]), spec("Cold"))
    assert isinstance(found, Wait)
    assert service in found.message
    stopped = server("s1", "SHUTOFF", image_read=False, volume_backed=volume_backed)
    assert by_method(stopped) == ("wait ServerNotRead",) * 3
    assert said(verdict(live_failed(one), spec("LiveThenCold"))) != "cold"
    resuming = spec("Cold", servers={"suspended": "Resume"})
    suspended = observed([replace(one, status="SUSPENDED")])
    assert said(verdict(suspended, resuming)) == "wait ServerNotRead"
    moves = spec("Cold", servers={"encryptedVolumes": "Move"})
    assert said(verdict(observed([one]), moves)) == "wait ServerNotRead"
    assert by_method(replace(one, flavor=flavor(**TPM)))[0] == "blocked VirtualTPM"


@pytest.mark.field_case("F5", "F6")
@pytest.mark.parametrize(
    "asked", [{"flavor": flavor(**HOST_TPM)}, {"volumes": ("v1",), "encrypted": ("v1",)}]
)
def test_live_then_cold_never_goes_cold_with_it(asked: dict[str, Any]) -> None:
    failed = live_failed(server(**asked))
    assert said(verdict(failed, spec("LiveThenCold"))) == "blocked LiveMigrationFailed"
    assert "LiveThenCold" not in told(verdict(failed, spec("LiveThenCold")))
    refused = History().refuse("s1", "os-migrateLive", 400, "not supported", NOW)
    found = verdict(observed([server(**asked)], refusals=refused.refusals), spec("LiveThenCold"))
    assert said(found) in ("blocked VirtualTPM", "blocked EncryptedVolumes")


@pytest.mark.field_case("F5")
def test_a_hard_reboot_is_advised_to_whom_it_works_for() -> None:
    for asked in ({"flavor": flavor(**TPM)}, {"encrypted": ("v1",)}):
        text = told(verdict(observed([server("s1", "ERROR", **asked)])))
        assert "As its owner" in text
        assert "openstack server reboot --hard s1" in text
    assert "As its owner" not in told(verdict(observed([server("s1", "ERROR")])))


@pytest.mark.field_case("F6")
@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        ("ACTIVE", ("blocked EncryptedVolumes", "live", "live")),
        ("SHUTOFF", ("blocked EncryptedVolumes",) * 3),
    ],
)
def test_encrypted_volumes_are_not_moved_cold(status: str, wanted: tuple[str, ...]) -> None:
    one = server("s1", status, volumes=("v1", "v2"), encrypted=("v2",))
    assert by_method(one) == wanted
    found = told(verdict(observed([one])))
    assert "v2" in found
    assert "v1" not in found
    plain = replace(one, encrypted=())
    assert by_method(plain)[0] == "cold"
    moves = spec("Cold", servers={"encryptedVolumes": "Move"})
    assert said(verdict(observed([one]), moves)) == "cold"


@pytest.mark.field_case("F6")
def test_what_cinder_does_not_tell_now_is_waited_for() -> None:
    one = server(volumes=("v1",), encrypted=None)
    assert by_method(one) == ("wait VolumesNotRead", "live", "live")


@pytest.mark.field_case("F6")
def test_a_plan_names_them_before_anything_starts_and_says_what_it_does_not_know() -> None:
    one = server("s1", volumes=("v1",), encrypted=("v1",))
    unread = (("VolumesNotRead", 2, "the cloud's catalog has no block storage service"),)
    sight = observed([one], service=service("enabled"), plan=PlanReads(capacity=()), unread=unread)
    asked = DrainSpec.read(spec("Cold").model_dump(by_alias=True) | {"mode": "Plan"})
    plan = status_of(sight, asked)["plan"]
    rows = {row["reason"]: row for row in plan["reasons"]}
    assert plan["blocked"] == 1
    assert "name-s1" in rows["EncryptedVolumes"]["message"]
    assert rows["VolumesNotRead"]["count"] == 2
    assert "block storage" in rows["VolumesNotRead"]["message"]


@pytest.mark.field_case("F7")
def test_a_pci_device_is_asked_of_nova() -> None:
    one = server(flavor=flavor(pci_passthrough__alias="nic:1"))
    assert by_method(one) == ("cold", "live", "live")
    nowhere = live_failed(one, "Exceeded maximum number of retries. Exhausted all hosts", 100)
    assert "live_migratable" in told(verdict(nowhere, spec("Live")))
    assert said(verdict(nowhere, spec("LiveThenCold"))) == "cold"


@pytest.mark.field_case("F11")
def test_an_accelerator_is_moved_in_no_way_and_the_way_out_is_to_shelve() -> None:
    for status in ("ACTIVE", "SHUTOFF", "PAUSED"):
        one = server("s1", status, flavor=flavor(accel__device_profile="gpu"))
        assert by_method(one) == ("blocked Accelerator",) * 3
    remedies = told(verdict(observed([one])))
    assert "openstack server shelve --offload s1" in remedies
    assert "openstack server unshelve s1" in remedies
    shelved = server("s1", "SHELVED", flavor=flavor(accel__device_profile="gpu"))
    assert by_method(shelved) == ("offload",) * 3


@pytest.mark.field_case("F5", "F12")
@pytest.mark.parametrize("word", ["true", "True", "TRUE", "yes", "1", "on", "t", "y", " true "])
def test_what_is_true_for_nova_is_true(word: str) -> None:
    for asked in (
        server(flavor=flavor(hw__mem_encryption=word)),
        server(image_properties={"hw_mem_encryption": word}),
    ):
        assert by_method(asked) == ("cold", "blocked CannotLiveMigrate", "cold")
    for word in ("false", "0", "no", ""):
        assert by_method(server(flavor=flavor(hw__mem_encryption=word)))[1] == "live"


@pytest.mark.field_case("F27")
@pytest.mark.parametrize("method", ["Live", "LiveThenCold"])
def test_a_paused_guest_is_to_be_unpaused(method: str) -> None:
    for sight in (
        live_failed(server("s1", "PAUSED")),
        observed([server("s1", "PAUSED", flavor=flavor(hw__mem_encryption="true"))]),
    ):
        text = told(verdict(sight, spec(method)))
        assert "openstack server unpause s1" in text
        assert method == "Live" or "Use migration.method: LiveThenCold" not in text
