"""Pinned host keys, as OpenSSH's own tools write them."""

import subprocess
from pathlib import Path

import pytest

from quiesce.api.host import KeyType
from quiesce.ssh.errors import BadKey
from quiesce.ssh.keys import generate
from quiesce.ssh.pins import Pins, read_pins

ONE, TWO = generate(KeyType.ED25519).public, generate(KeyType.ED25519).public


def test_by_name_address_and_port() -> None:
    pins = read_pins(
        f"cmp1,192.0.2.1 {ONE.line} a comment\n\n# note\n[cmp1]:2222 {TWO.line}\n", "x"
    )
    assert pins.of(["CMP1"], 22) == (ONE,)
    assert pins.of(["192.0.2.1"], 22) == (ONE,)
    assert pins.of(["cmp1"], 2222) == (TWO,)
    assert pins.of(["192.0.2.1"], 2222) == (ONE,)
    assert pins.of(["cmp2", ""], 22) == ()


def test_several_keys_of_one_host_are_all_good() -> None:
    pins = read_pins(f"cmp1 {ONE.line}\ncmp1 {TWO.line}\n", "x")
    assert pins.of(["cmp1"], 22) == (ONE, TWO)


def test_hashed_names(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(f"cmp1 {ONE.line}\n192.0.2.1 {ONE.line}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", path], check=True, capture_output=True)
    assert "cmp1" not in path.read_text()
    pins = read_pins(path.read_text(), "x")
    assert pins.of(["cmp1"], 22) == (ONE,)
    assert pins.of(["192.0.2.1"], 22) == (ONE,)
    assert pins.of(["cmp2"], 22) == ()


@pytest.mark.finding("S4")
def test_revoked_keys_are_pinned_for_nobody() -> None:
    pins = read_pins(f"cmp1 {ONE.line}\n@revoked * {ONE.line}\n@cert-authority * {TWO.line}\n", "x")
    assert pins.of(["cmp1"], 22) == ()
    assert pins.revoked == {ONE}


def test_a_broken_line_is_named() -> None:
    with pytest.raises(BadKey, match="ConfigMap ns/hosts, line 2"):
        read_pins(f"cmp1 {ONE.line}\ncmp2 ssh-ed25519\n", "ConfigMap ns/hosts")


def test_nothing_is_pinned_at_first() -> None:
    assert Pins().of(["cmp1"], 22) == ()
