"""A service that gives no answer is asked by one at a time; nobody can tell the difference."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from tests.unit.openstack.test_session import Secret

from quiesce.api.errors import CloudUnreachable
from quiesce.openstack.breaker import OPENS_AFTER, Breaker, NotAsked
from quiesce.openstack.session import Clouds

NOVA, NEUTRON = "https://nova:443", "https://neutron:443"


class Line:
    """Requests by way of a breaker, and how many of them were sent."""

    def __init__(self) -> None:
        self.now, self.sent = 100.0, 0
        self.breaker = Breaker(lambda: self.now)

    def ask(
        self,
        fails: Exception | None,
        service: str = NOVA,
        *,
        counts: bool = True,
        begins: bool = False,
    ) -> str:
        """`begins`: there is the beginning of an answer before it fails."""
        try:
            with self.breaker.asking(service, counts=counts) as answered:
                self.sent += 1
                if begins:
                    answered()
                if fails is not None:
                    raise fails
                answered()
        except requests.RequestException as error:
            return f"{isinstance(error, requests.Timeout)} {error}"
        return "answered"


REFUSED = requests.ConnectionError("[Errno 111] Connection refused")


def closed() -> Line:
    line = Line()
    for _ in range(OPENS_AFTER):
        line.ask(REFUSED)
    return line


@pytest.mark.promise("never-11")
@pytest.mark.parametrize("fails", [REFUSED, requests.Timeout("timed out")])
def test_one_request_in_three_seconds_is_sent_and_all_fail_alike(fails: Exception) -> None:
    line, said = Line(), set()
    for number in range(300):
        line.now = 100 + number / 10
        said.add(line.ask(fails))
    assert len(said) == 1
    assert OPENS_AFTER + 7 <= line.sent <= OPENS_AFTER + 13


def test_an_answer_lets_all_ask_again() -> None:
    line = closed()
    line.now += 10
    assert [line.ask(None) for _ in range(5)] == ["answered"] * 5
    line.ask(REFUSED)
    line.ask(None)
    line.ask(REFUSED)
    line.ask(REFUSED)
    assert line.ask(None) == "answered", "not so many in a row"


def test_only_one_asks_at_a_time() -> None:
    line = closed()
    line.now += 10
    with line.breaker.asking(NOVA), pytest.raises(NotAsked), line.breaker.asking(NOVA):
        pass
    with line.breaker.asking(NOVA):
        pass  # and when that one has ended otherwise, the next one may


def test_each_service_is_alone() -> None:
    line = closed()
    assert line.ask(None, NEUTRON) == "answered"
    assert line.ask(None, NOVA) != "answered"


@pytest.mark.parametrize(
    ("fails", "counts"),
    [
        (requests.Timeout("cut short, the time of the reconciliation was used up"), False),
        (requests.exceptions.InvalidURL("its address is none"), True),
        (CloudUnreachable("used up"), True),
    ],
)
def test_what_is_no_silence_of_the_service_closes_nothing(fails: Exception, counts: bool) -> None:
    line = Line()
    for _ in range(OPENS_AFTER + 2):
        with contextlib.suppress(CloudUnreachable):
            line.ask(fails, counts=counts)
    assert line.ask(None) == "answered"


@pytest.mark.promise("never-11")
def test_a_service_that_answers_others_meanwhile_is_not_silent() -> None:
    """One hypervisor hangs, for whose guests three drains ask at the same time."""
    line = Line()
    asking = [line.breaker.asking(NOVA) for _ in range(OPENS_AFTER)]
    for each in asking:
        each.__enter__()
    line.now += 5
    assert line.ask(None) == "answered"
    line.now += 25
    for each in asking:
        with contextlib.suppress(requests.Timeout):
            each.__exit__(requests.Timeout, requests.Timeout("timed out"), None)
    assert line.ask(None) == "answered"


def test_an_answer_that_breaks_off_is_one() -> None:
    line = Line()
    for _ in range(OPENS_AFTER + 2):
        line.ask(requests.ConnectionError("the answer is larger than 1024 KiB"), begins=True)
    assert line.ask(None) == "answered"


@pytest.fixture
def port() -> Iterator[tuple[int, list[int]]]:
    """One where connections are accepted, counted, and closed."""
    taken = list[int]()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, (_, source) = server.accept()
                    taken.append(source)
                    connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], taken
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.mark.promise("never-11")
def test_a_cloud_that_is_down_is_not_asked_by_each_of_its_drains(
    port: tuple[int, list[int]],
) -> None:
    """On real connections, through keystoneauth."""
    number, taken = port
    text = f"clouds: {{openstack: {{auth: {{auth_url: http://127.0.0.1:{number}, username: q, "
    text += "password: p, project_name: p, user_domain_name: d, project_domain_name: d}}}"
    secret = Secret({"clouds.yaml": text.encode()})
    now = 0.0
    clouds = Clouds(clock=lambda: now)

    def said(secret: Secret) -> str:
        with pytest.raises(CloudUnreachable) as found:
            clouds.get(secret, "openstack")
        return str(found.value)

    for _ in range(OPENS_AFTER):
        said(secret)
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(said, [secret] * 200))) == 1
    assert len(taken) == OPENS_AFTER
    now = 4.0
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(said, [secret] * 20))
    assert len(taken) == OPENS_AFTER + 1
    said(Secret(secret.data, version="2"))
    assert len(taken) == OPENS_AFTER + 2, "a Secret that was changed is tried at once"
