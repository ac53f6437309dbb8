"""The list of Leases, by which another operator with the same drains is found."""

from typing import Any

import pytest
from kubernetes.client import ApiClient, CustomObjectsApi

from quiesce.kube import lease
from quiesce.kube.lease import Leases


class Pages:
    """Lists of Leases, a page at a time, as the API server hands them out."""

    def __init__(self, total: int) -> None:
        self.names, self.asked = [f"lease-{n}" for n in range(total)], 0

    def __call__(self, *_: Any, limit: int, _continue: str = "0", **__: Any) -> Any:
        self.asked += 1
        first, after = int(_continue), int(_continue) + limit
        some = self.names[first:after]
        items = [
            {"metadata": {"namespace": "ns", "name": name, "resourceVersion": "1"}} for name in some
        ]
        more = {"continue": str(after)} if after < len(self.names) else {}
        return {"items": items, "metadata": more}


@pytest.mark.parametrize("everywhere", [True, False])
@pytest.mark.parametrize("total", [0, 3, 500, 1234])
def test_every_page_is_read(total: int, everywhere: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of others, however many, do not hide a rival's."""
    pages = Pages(total)
    for name in ("list_cluster_custom_object", "list_namespaced_custom_object"):
        monkeypatch.setattr(
            CustomObjectsApi, name, lambda _self, *path, **more: pages(*path, **more)
        )
    found = Leases(ApiClient(), "ns").list(everywhere=everywhere)
    assert [each.name for each in found] == pages.names


def test_a_list_without_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = Pages(1234)
    monkeypatch.setattr(lease, "_MOST", 600)
    monkeypatch.setattr(
        CustomObjectsApi,
        "list_cluster_custom_object",
        lambda _self, *path, **more: pages(*path, **more),
    )
    Leases(ApiClient(), "ns").list(everywhere=True)
    assert pages.asked == 2
