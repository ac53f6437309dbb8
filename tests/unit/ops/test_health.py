import socket
import struct
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter

from quiesce.ops.health import HealthServer


class Served:
    def __init__(self, host: str) -> None:
        self.sick: list[str] = []
        self.unready: list[str] = []
        registry = CollectorRegistry()
        Counter("quiesce_things", "counted", registry=registry).inc()
        self.server = HealthServer(host, 0, lambda: self.sick, lambda: self.unready, registry)

    def get(self, path: str, host: str = "127.0.0.1") -> tuple[int, str]:
        try:
            with urllib.request.urlopen(
                f"http://{host}:{self.server.port}{path}", timeout=30
            ) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


@pytest.fixture(params=["127.0.0.1", ""])
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    served = Served(request.param)
    served.server.start()
    yield served
    served.server.stop()


def test_all_is_well(served: Served) -> None:
    assert served.get("/healthz") == (200, "ok\n")
    assert served.get("/readyz?verbose") == (200, "ok\n")


def test_what_is_wrong_is_told_line_by_line(served: Served) -> None:
    served.sick = ["drain-0: dead", "drain: not listed for 300s"]
    assert served.get("/healthz") == (503, "drain-0: dead\ndrain: not listed for 300s\n")
    assert served.get("/readyz")[0] == 200
    served.sick, served.unready = [], ["the resources are not listed yet"]
    assert served.get("/healthz")[0] == 200
    assert served.get("/readyz") == (503, "the resources are not listed yet\n")


def test_metrics(served: Served) -> None:
    status, text = served.get("/metrics")
    assert status == 200
    assert "quiesce_things_total 1.0" in text


def test_other_paths_say_what_there_is(served: Served) -> None:
    assert served.get("/") == (404, "/healthz /readyz /metrics\n")


@pytest.mark.finding("L5")
def test_those_who_connect_and_say_nothing_keep_nobody_out(served: Served) -> None:
    """Each connection takes a thread: whoever reaches the port could have the kubelet end us."""
    before = threading.active_count()
    silent = [socket.create_connection(("127.0.0.1", served.server.port)) for _ in range(200)]
    assert served.get("/healthz") == (200, "ok\n")
    assert threading.active_count() < before + 100
    for each in silent:
        each.close()


def test_a_taken_address_is_an_error_at_once(served: Served) -> None:
    with pytest.raises(OSError):
        HealthServer("127.0.0.1", served.server.port, list, list, CollectorRegistry())


def test_one_who_hangs_up_leaves_nothing_on_stderr(
    served: Served, capfd: pytest.CaptureFixture[str]
) -> None:
    """Where lines of the log are, of which each is JSON."""
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", served.server.port)) as hasty:
            hasty.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            hasty.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
    assert served.get("/healthz")[0] == 200
    served.server.stop()
    assert capfd.readouterr().err == ""
