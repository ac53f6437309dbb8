"""`quiesce credentials`: what goes into the Secret, and what a person is told when it cannot."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.kube.fake_api import Answer, FakeApi, Request, serving

from quiesce.__main__ import main
from quiesce.exits import Exit
from quiesce.openstack.clouds_yaml import read_cloud

CLOUDS = """
clouds:
  prod:
    auth: {{auth_url: "https://keystone", username: quiesce}}
    cacert: {ca}
  test:
    auth: &auth {{auth_url: "https://other", username: quiesce, password: "{{0123"}}
    networks: [{{name: public}}]
    profile: vexxhost
  odd:
    auth: *auth
    interface: elsewhere
"""


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    """An API server that takes Secrets, and the files and variables of a person's shell."""
    (tmp_path / "ca.pem").write_bytes(b"PEM")
    (tmp_path / "clouds.yaml").write_text(CLOUDS.format(ca=tmp_path / "ca.pem"))
    secret = {"clouds": {"prod": {"auth": {"password": "hunter2"}}}}
    (tmp_path / "secure.yaml").write_text(yaml.safe_dump(secret))
    with serving() as fake:
        config = {
            "current-context": "c",
            "contexts": [
                {"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "ns"}}
            ],
            "clusters": [{"name": "c", "cluster": {"server": fake.url}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
        }
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))
        monkeypatch.setenv("OS_CLIENT_SECURE_FILE", str(tmp_path / "secure.yaml"))
        for name in ("KUBERNETES_SERVICE_HOST", "OS_CLOUD"):
            monkeypatch.delenv(name, raising=False)
        fake.faults.append(_stored)
        yield fake


def _stored(request: Request) -> Answer | None:
    if request.method != "PATCH":
        return None
    namespace = request.path.split("/")[4]
    added = {"namespace": namespace, "uid": "u", "resourceVersion": "1"}
    return Answer(200, request.body | {"metadata": request.body["metadata"] | added})


def data(request: Request) -> dict[str, Any]:
    return {key: base64.b64decode(value) for key, value in request.body["data"].items()}


def test_one_cloud_is_stored_whole_and_no_other(
    api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["credentials", "--cloud", "prod"]) == Exit.OK
    (request,) = api.writes
    assert request.path == "/api/v1/namespaces/ns/secrets/openstack-clouds"
    found = data(request)
    assert found["cacert"] == b"PEM"
    auth = {"auth_url": "https://keystone", "username": "quiesce", "password": "hunter2"}
    assert yaml.safe_load(found["clouds.yaml"]) == {"clouds": {"openstack": {"auth": auth}}}
    assert request.body["metadata"]["labels"] == {"quiesce.dev/cloud-credentials": "true"}
    shown = capsys.readouterr()
    assert "Secret ns/openstack-clouds" in shown.out
    assert "hunter2" not in shown.out + shown.err


def test_the_cloud_of_the_shell_in_the_namespace_named(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OS_CLOUD", "test")
    assert main(["credentials", "--namespace", "openstack"]) == Exit.OK
    (request,) = api.writes
    assert request.path == "/api/v1/namespaces/openstack/secrets/openstack-clouds"
    assert set(data(request)) == {"clouds.yaml"}


def test_what_the_operator_does_not_use_is_left_out_and_named(
    api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["credentials", "--cloud", "test"]) == Exit.OK
    stored = data(api.writes[0])["clouds.yaml"]
    assert read_cloud(stored, "openstack").auth == {"username": "quiesce", "password": "{0123"}
    assert b"networks" not in stored and b"&" not in stored
    assert "does not use it: networks, profile" in capsys.readouterr().out


def test_what_the_operator_would_refuse_is_told_before_it_is_stored(
    api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["credentials", "--cloud", "odd"])
    assert ended.value.code == Exit.USAGE
    assert "interface is not one of public, internal, admin" in capsys.readouterr().err
    assert api.writes == []


def _no_ca(folder: Path) -> None:
    (folder / "ca.pem").unlink()


def _no_file(folder: Path) -> None:
    (folder / "clouds.yaml").unlink()


def _no_yaml(folder: Path) -> None:
    (folder / "clouds.yaml").write_text("clouds: [")


@pytest.mark.parametrize(
    ("argv", "spoil", "words"),
    [
        ([], None, ["--cloud", "OS_CLOUD"]),
        (["--cloud", "nope"], None, ["'nope'", "clouds.yaml", "prod, test"]),
        (["--cloud", "prod"], _no_ca, ["cacert", "ca.pem", "No such file"]),
        (["--cloud", "prod"], _no_file, ["no clouds.yaml can be read", "OS_CLIENT_CONFIG_FILE="]),
        (["--cloud", "prod"], _no_yaml, ["no clouds.yaml can be read", "OS_CLIENT_CONFIG_FILE="]),
    ],
)
def test_what_cannot_be_used_is_named_in_one_line(
    api: FakeApi, tmp_path: Path, argv: list[str], spoil: Any, words: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    if spoil:
        spoil(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["credentials", *argv])
    assert ended.value.code == Exit.USAGE
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert all(word in err for word in words), err
    assert api.writes == []


def test_an_api_server_that_refuses(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    api.faults.clear()
    api.fail(403, 'cannot patch resource "secrets"')
    with pytest.raises(SystemExit) as ended:
        main(["credentials", "--cloud", "prod"])
    assert ended.value.code == Exit.NO_API
    assert "secrets" in capsys.readouterr().err


def test_it_is_listed_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "credentials" in capsys.readouterr().out
