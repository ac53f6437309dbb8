"""The fence, and that each client asks it before it sends what may change something.

That of hosts: tests/unit/ssh/test_session.py.
"""

import socket
import threading
from collections.abc import Iterator

import pytest
import requests
from kubernetes.client import CustomObjectsApi
from tests.unit.kube.fake_api import DRAINS, client_of, drain, serving

from quiesce.kube.errors import call
from quiesce.openstack.transport import Transport, trust
from quiesce.ops import leadership
from quiesce.ops.leadership import OPEN, Fence, NotLeading


@pytest.fixture
def fence(monkeypatch: pytest.MonkeyPatch) -> Fence:
    """One that is installed for this process, and closed."""
    monkeypatch.setattr(leadership, "_installed", OPEN)
    found = Fence()
    leadership.install(found)
    return found


def test_it_is_open_until_its_moment_and_never_again_once_closed() -> None:
    now = [0.0]
    fence = Fence(10.0, lambda: now[0])
    fence.check()
    now[0] = 10.0
    with pytest.raises(NotLeading):
        fence.check()
    fence.extend(20.0)
    fence.check()
    assert fence.close(0.0)
    fence.extend(30.0)
    with pytest.raises(NotLeading), fence.writing():
        pytest.fail("it wrote")


def test_calls_under_way_are_waited_for() -> None:
    fence, inside, end = Fence(float("inf")), threading.Event(), threading.Event()

    def write() -> None:
        with fence.writing():
            inside.set()
            end.wait(60)

    thread = threading.Thread(target=write)
    thread.start()
    inside.wait(60)
    assert not fence.close(0.01)
    end.set()
    assert fence.close(60)
    thread.join()


class Server:
    """Keeps each piece in which a request arrives, and answers 204."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v2.1/servers/1/action"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                piece = connection.recv(65536)
                if piece:
                    self.pieces.append(piece)
                    connection.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


def send(server: Server, method: str) -> int:
    transport = Transport(trust(None, verify=False), 30.0)
    request = requests.Request(method, server.url, json={"migrate": None}).prepare()
    return transport.send(request).status_code


@pytest.mark.promise("always-10")
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_openstack_is_sent_no_change_without_the_lease(
    fence: Fence, server: Server, method: str
) -> None:
    with pytest.raises(NotLeading):
        send(server, method)
    assert server.pieces == []
    assert send(server, "GET") == 204


@pytest.mark.promise("always-10")
def test_a_request_arrives_whole_so_that_a_pause_cannot_divide_it(
    fence: Fence, server: Server
) -> None:
    fence.extend(float("inf"))
    assert send(server, "POST") == 204
    (piece,) = server.pieces
    assert piece.startswith(b"POST ") and piece.endswith(b'{"migrate": null}')


@pytest.mark.promise("always-10")
def test_it_is_checked_after_connecting(
    fence: Fence, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    fence.extend(float("inf"))
    found = socket.getaddrinfo

    def slow(*arguments: object, **options: object) -> object:
        fence.extend(0.0)  # that took so long
        return found(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with pytest.raises(NotLeading):
        send(server, "POST")
    assert server.pieces == []


@pytest.mark.promise("always-10")
def test_kubernetes_is_sent_no_change_without_the_lease(fence: Fence) -> None:
    with serving() as api:
        api.put(drain())
        custom = CustomObjectsApi(client_of(api.url))
        path = ("quiesce.dev", "v1alpha1", "ns", DRAINS, "d1")
        body = {"metadata": {"annotations": {"a": "b"}}}
        call(custom.get_namespaced_custom_object, *path)
        for write, arguments in (
            (custom.patch_namespaced_custom_object, (*path, body)),
            (custom.patch_namespaced_custom_object_status, (*path, {"status": {}})),
            (custom.create_namespaced_custom_object, (*path[:-1], drain("d2"))),
            (custom.delete_namespaced_custom_object, path),
        ):
            with pytest.raises(NotLeading):
                call(write, *arguments)
        assert api.writes == []
        fence.extend(float("inf"))
        call(custom.patch_namespaced_custom_object, *path, body)
        assert len(api.writes) == 1
