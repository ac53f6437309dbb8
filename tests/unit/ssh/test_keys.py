"""Keys: as OpenSSH reads and names them."""

import subprocess
from pathlib import Path

import pytest

from quiesce.api.host import KeyType
from quiesce.ssh.errors import BadKey
from quiesce.ssh.keys import read_public
from quiesce.ssh.login import login_key
from quiesce.ssh.private_keys import generate, read_pair


@pytest.mark.parametrize("kind", list(KeyType))
def test_openssh_agrees(tmp_path: Path, kind: KeyType) -> None:
    pair = generate(kind)
    path = tmp_path / "key"
    path.write_text(pair.private)
    path.chmod(0o600)
    derived = subprocess.run(
        ["ssh-keygen", "-y", "-f", path], check=True, capture_output=True, text=True
    ).stdout
    assert derived.split()[:2] == pair.public.line.split()
    shown = subprocess.run(
        ["ssh-keygen", "-lf", path], check=True, capture_output=True, text=True
    ).stdout
    assert shown.split()[1] == pair.public.fingerprint


@pytest.mark.parametrize(
    "options", [["-t", "ed25519"], ["-t", "ecdsa"], ["-t", "rsa"], ["-t", "rsa", "-m", "PEM"]]
)
def test_keys_of_ssh_keygen_are_read_and_kept_as_they_are(
    tmp_path: Path, options: list[str]
) -> None:
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", *options, "-N", "", "-f", path], check=True)
    pair = read_pair(path.read_bytes(), "it")
    assert pair.private == path.read_text()
    assert read_pair(pair.private.replace("\n", "\r\n").encode(), "it") == pair
    assert login_key(path.read_bytes(), "it").get_base64() == pair.public.base64


@pytest.mark.finding("S4")
def test_a_passphrase_is_refused_without_showing_the_key(tmp_path: Path) -> None:
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", path], check=True)
    with pytest.raises(BadKey, match="without passphrase") as refused:
        login_key(path.read_bytes(), "Secret ns/login")
    assert path.read_text().splitlines()[1] not in str(refused.value)


def test_weak_keys_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "rsa", "-b", "1024", "-N", "", "-f", path], check=True
    )
    with pytest.raises(BadKey, match="1024"):
        read_pair(path.read_bytes(), "it")


@pytest.mark.finding("S4")
def test_no_representation_shows_a_private_key() -> None:
    assert "PRIVATE" not in repr(generate(KeyType.ED25519))


@pytest.mark.parametrize(
    "text", ["", "ssh-ed25519", "ssh-ed25519 !!!!", "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIEZha2U="]
)
def test_what_is_no_public_key(text: str) -> None:
    with pytest.raises(ValueError):
        read_public(text)


@pytest.mark.finding("H4")
def test_a_key_that_would_take_minutes_to_check_is_not_read() -> None:
    text = b"-----BEGIN RSA PRIVATE KEY-----\n" + b"A" * 9000 + b"\n-----END RSA PRIVATE KEY-----\n"
    with pytest.raises(BadKey, match="longer than 8 KiB"):
        login_key(text, "it")
