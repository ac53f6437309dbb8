"""Which certificates of a cloud are believed: those that the Secret's authorities signed."""

import datetime
import ipaddress
import socket
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from quiesce.api.errors import CloudUnreachable
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.session import Clouds
from tests.security import hostile_cloud as hostile
from tests.security.hostile_cloud import HostileCloud

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, bytes]:
    """A server's TLS, and its certificate (PEM), which it signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cloud")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file: Path = tmp_path_factory.mktemp("tls") / "server.pem"
    file.write_bytes(pem + private)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(file)
    return tls, pem


def connect(there: HostileCloud, ca: bytes | None, timeout: float = 30.0, **entry: Any) -> Cloud:
    secret = there.secret(**entry)
    data = dict(secret.data) if ca is None else {**secret.data, "cacert": ca}
    return Clouds(timeout).get(replace(secret, data=data), "openstack")


@pytest.mark.finding("M8")
def test_the_authorities_of_the_secret_are_trusted_and_no_file_is_written(
    server: tuple[ssl.SSLContext, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls, pem = server
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with HostileCloud(tls=tls) as there:
        bundle = "# ümlaut\n".encode() + pem + b"junk\n"
        assert connect(there, bundle).services() == ()
    assert list(tmp_path.iterdir()) == []


def test_a_certificate_that_nobody_signed_is_refused_before_the_password_is_sent(
    server: tuple[ssl.SSLContext, bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tls, pem = server
    (tmp_path / "ca.pem").write_bytes(pem)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "ca.pem"))
    with HostileCloud(tls=tls) as there:
        with pytest.raises(CloudUnreachable, match="CERTIFICATE_VERIFY_FAILED"):
            connect(there, None)
        assert there.requests == []


def test_verify_false_believes_any(server: tuple[ssl.SSLContext, bytes]) -> None:
    with HostileCloud(tls=server[0]) as there:
        assert connect(there, None, verify=False).services() == ()
        with pytest.raises(CloudUnreachable):
            connect(there, None)


@pytest.mark.finding("H4")
def test_requests_over_tls_end_as_well(server: tuple[ssl.SSLContext, bytes]) -> None:
    tls, pem = server
    for reply in (hostile.says_nothing, hostile.drips_its_head, hostile.floods_its_body):
        with (
            HostileCloud({"/v2.1/": reply}, tls=tls) as there,
            pytest.raises(CloudUnreachable),
        ):
            connect(there, pem, 2.0)


@pytest.mark.finding("H4")
def test_a_handshake_that_does_not_begin_ends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, HostileCloud() as there:
        auth = {
            "auth_url": f"https://127.0.0.1:{silent.getsockname()[1]}",
            "username": "u",
            "password": "p",
        }
        with pytest.raises(CloudUnreachable):
            connect(there, None, 1.0, auth=auth)
