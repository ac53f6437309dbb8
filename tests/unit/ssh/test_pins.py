"""Pinned host keys, as OpenSSH's own tools write them."""

import base64
import hmac
import subprocess
import time
from pathlib import Path

import pytest

from quiesce.api.host import KeyType
from quiesce.ssh import pins as pins_module
from quiesce.ssh.errors import BadKey
from quiesce.ssh.pins import Pins, read_pins
from quiesce.ssh.private_keys import generate

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


@pytest.mark.finding("S4")
@pytest.mark.parametrize("space", ["\t", " \t ", "   "])
def test_a_revoked_key_is_one_with_any_white_space(space: str) -> None:
    """As OpenSSH reads the file (hostfile.c check_markers)."""
    text = f"cmp1{space}{ONE.line}\n@revoked{space}*{space}{ONE.line}\n"
    pins = read_pins(text, "x")
    assert pins.revoked == {ONE}
    assert pins.of(["cmp1"], 22) == ()


def test_a_marker_that_is_not_known_is_no_pin() -> None:
    with pytest.raises(BadKey, match="line 1"):
        read_pins(f"@Revoked cmp1 {ONE.line}\n", "x")


@pytest.mark.finding("H3")
@pytest.mark.parametrize("form", ["lines", "names of a line"])
def test_time_grows_with_the_size_of_the_file_and_no_faster(form: str) -> None:
    """Whoever may create a Secret writes it: a megabyte of it is read at each reconciliation."""

    def took(many: int) -> float:
        key = "x AAAAAXg="
        text = f"a {key}\n" * many if form == "lines" else f"{'a,' * many}b {key}\n"
        began = time.process_time()
        assert len(read_pins(text, "x").of(["a"], 22)) == 1
        return time.process_time() - began

    took(1000)
    assert min(took(40_000) for _ in range(3)) < 40 * min(took(4_000) for _ in range(3))


@pytest.mark.finding("H3")
def test_more_hashed_names_than_can_be_compared_are_refused() -> None:
    salt = base64.b64encode(b"s" * 20).decode()
    line = f"|1|{salt}|{salt} {ONE.line}\n"
    assert read_pins(line * 1000, "x").of(["cmp1"], 22) == ()
    with pytest.raises(BadKey, match="more than 1000 hashed names"):
        read_pins(line * 1001, "x")


@pytest.mark.finding("M10")
def test_a_hashed_name_is_looked_up_once_for_the_same_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The file is read at every tick, and asked for every name of thousands of hosts."""
    salt, compared = base64.b64encode(b"salt").decode(), list[str]()

    def line(name: str) -> str:
        digest = base64.b64encode(hmac.digest(b"salt", name.encode(), "sha1")).decode()
        return f"|1|{salt}|{digest} {ONE.line}\n"

    hides = pins_module._Hashed.hides

    def counted(entry: pins_module._Hashed, name: str) -> bool:
        compared.append(name)
        return hides(entry, name)

    monkeypatch.setattr(pins_module._Hashed, "hides", counted)
    monkeypatch.setattr(pins_module, "_hidden_names", pins_module._HiddenNames(6))
    text = "".join(map(line, ("cmp1", "cmp2")))
    for _ in range(3):
        pins = read_pins(text, "x")
        assert pins.of(["cmp1"], 22) == pins.of(["cmp2"], 22) == (ONE,)
        assert pins.of(["cmp3"], 22) == ()
    assert len(compared) == 3 * 2
    assert read_pins(line("cmp3") + text, "x").of(["cmp3"], 22) == (ONE,), "another file"
    assert len(compared) == 3 * 2 + 3
    assert read_pins(text, "x").of(["cmp1"], 22) == (ONE,)
    assert len(compared) == 3 * 2 + 3
    read_pins(text, "x").of([f"other{number}" for number in range(6)], 22)
    compared.clear()
    assert read_pins(text, "x").of(["cmp1"], 22) == (ONE,)
    assert len(compared) == 2, "only so many are remembered"


@pytest.mark.finding("M9")
def test_more_names_than_a_cloud_has_hosts_are_refused() -> None:
    """Each name takes memory many times its length, in every reconciliation."""
    names = ",".join(f"{number:x}" for number in range(50_000))
    assert read_pins(f"{names} {ONE.line}\n", "x").of(["1f"], 22) == (ONE,)
    with pytest.raises(BadKey, match="more than 50000 names"):
        read_pins(f"{names},one-more {ONE.line}\n", "x")


def test_a_broken_line_is_named() -> None:
    with pytest.raises(BadKey, match="ConfigMap ns/hosts, line 2"):
        read_pins(f"cmp1 {ONE.line}\ncmp2 ssh-ed25519\n", "ConfigMap ns/hosts")


def test_nothing_is_pinned_at_first() -> None:
    assert Pins().of(["cmp1"], 22) == ()
