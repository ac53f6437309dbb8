"""The plugin's requests, to a pretended API server."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.harness.openstack import until
from tests.unit.kube.fake_api import FakeApi, drain, serving

from quiesce.plugin.cluster import Cluster, connect
from quiesce.plugin.exits import Failed


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with serving() as fake:
        yield fake


def kubeconfig(folder: Path, server: str, namespace: str) -> Path:
    path = folder / "config"
    context = {"cluster": "c", "user": "u", "namespace": namespace}
    path.write_text(
        yaml.safe_dump(
            {
                "current-context": "here",
                "contexts": [
                    {"name": "here", "context": context},
                    {"name": "there", "context": {**context, "namespace": "other"}},
                ],
                "clusters": [{"name": "c", "cluster": {"server": server}}],
                "users": [{"name": "u", "user": {"token": "t"}}],
            }
        )
    )
    return path


def test_the_namespace_is_that_of_the_flag_or_of_the_context(tmp_path: Path) -> None:
    file = str(kubeconfig(tmp_path, "http://127.0.0.1:1", "openstack"))
    assert connect(file, None, None, None).namespace == "openstack"
    assert connect(file, "there", None, None).namespace == "other"
    assert connect(file, "there", "mine", None).namespace == "mine"
    with pytest.raises(Failed, match="no usable kubeconfig"):
        connect(file, "nowhere", None, None)


def test_all_pages_are_read_and_changes_watched(api: FakeApi) -> None:
    for number in range(5):
        api.put(drain(f"d{number}"))
    cluster = Cluster(api.client(), "ns")
    found, version = cluster.list("ns")
    assert len(found) == 5
    threading.Thread(target=_put_once_watched, args=(api,), daemon=True).start()
    kind, seen = next(cluster.watch("ns", None, version))
    assert (kind, seen["metadata"]["name"]) == ("ADDED", "later")


def _put_once_watched(api: FakeApi) -> None:
    until("the watch", lambda: api.watched)
    api.put(drain("later"), event="ADDED")


def test_one_drain_is_watched_by_its_name_so_that_a_role_may_name_it(api: FakeApi) -> None:
    Cluster(api.client(), "ns").list("ns", "d1")
    assert api.requests[-1].query["fieldSelector"] == "metadata.name=d1"


def test_a_patch_is_a_merge_patch_in_the_plugins_name(api: FakeApi) -> None:
    api.put(drain("d1"))
    Cluster(api.client(), "ns").patch("ns", "d1", {"spec": {"suspend": True}})
    request = api.requests[-1]
    assert request.method == "PATCH"
    assert request.content_type == "application/merge-patch+json"
    assert request.query["fieldManager"] == "kubectl-quiesce"
    assert request.body == {"spec": {"suspend": True}}
