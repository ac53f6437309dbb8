"""The API server is found as kubectl finds it, and kopf gets the same identity."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.kube.fake_api import DRAINS, FakeApi

from quiesce.kube.client import NoCluster, connect, served_plurals


def kubeconfig(
    path: Path,
    name: str,
    cluster: Mapping[str, Any] | None = None,
    *,
    namespace: str | None = None,
    user: dict[str, Any] | None = None,
) -> Path:
    context = {"cluster": name, "user": name} | ({"namespace": namespace} if namespace else {})
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": name,
                "contexts": [{"name": name, "context": context}],
                "clusters": [
                    {
                        "name": name,
                        "cluster": {
                            "server": f"https://{name}.example.org:6443",
                            **(cluster or {}),
                        },
                    }
                ],
                "users": [{"name": name, "user": user or {"token": f"token-of-{name}"}}],
            }
        )
    )
    return path


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def test_the_file_in_the_home_directory(tmp_path: Path) -> None:
    (tmp_path / "home/.kube").mkdir(parents=True)
    kubeconfig(tmp_path / "home/.kube/config", "home")
    cluster = connect(None, 1)
    assert (cluster.server, cluster.namespace) == ("https://home.example.org:6443", "default")
    assert "'home'" in cluster.found


def test_kubeconfig_may_list_files_of_which_some_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = (
        kubeconfig(tmp_path / "one", "one", namespace="ns-one"),
        kubeconfig(tmp_path / "two", "two"),
    )
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/missing:{two}:{one}")
    assert connect("one", 1).namespace == "ns-one"
    assert connect("two", 1).server == "https://two.example.org:6443"


@pytest.mark.parametrize(
    ("content", "context", "words"),
    [
        (None, None, ["KUBECONFIG", "kubeconfig"]),
        ("", None, ["kubeconfig"]),
        ("{not yaml", None, ["kubeconfig"]),
        ("contexts: []", None, ["kubeconfig"]),
        ("ok", "nowhere", ["nowhere"]),
    ],
)
def test_what_is_wrong_with_the_configuration_is_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: str | None,
    context: str | None,
    words: list[str],
) -> None:
    path = tmp_path / "kubeconfig"
    if content == "ok":
        kubeconfig(path, "ok")
    elif content is not None:
        path.write_text(content)
    monkeypatch.setenv("KUBECONFIG", str(path))
    with pytest.raises(NoCluster) as raised:
        connect(context, 1)
    assert all(word in str(raised.value) for word in [str(path), *words])


def test_a_tls_server_name_is_refused_because_the_watch_could_not_use_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "KUBECONFIG", str(kubeconfig(tmp_path / "k", "k", {"tls-server-name": "kubernetes"}))
    )
    with pytest.raises(NoCluster, match="tls-server-name"):
        connect(None, 1)


def test_kopf_gets_the_same_identity_by_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = kubeconfig(tmp_path / "k", "k", {"insecure-skip-tls-verify": True})
    monkeypatch.setenv("KUBECONFIG", str(path))
    cluster = connect(None, 1)
    info = cluster.login()
    assert (info.server, info.insecure) == ("https://k.example.org:6443", True)
    assert info.as_http_headers() == {"Authorization": "Bearer token-of-k"}
    kubeconfig(path, "k", user={"token": "rotated"})
    assert cluster.login().token == "rotated", "read anew at each login"


def test_kopf_gets_the_same_identity_by_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def data(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    user = {"client-certificate-data": data("certificate"), "client-key-data": data("key")}
    path = kubeconfig(
        tmp_path / "k", "k", {"certificate-authority-data": data("authority")}, user=user
    )
    monkeypatch.setenv("KUBECONFIG", str(path))
    info = connect(None, 1).login()
    files = [info.ca_path, info.certificate_path, info.private_key_path]
    assert [Path(str(file)).read_text() for file in files] == ["authority", "certificate", "key"]
    assert info.as_http_headers() == {}


def test_kinds_are_found_by_discovery(api: FakeApi) -> None:
    assert served_plurals(api.client()) == {DRAINS}
    api.plurals = []
    assert served_plurals(api.client()) == frozenset()
