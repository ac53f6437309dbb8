"""Two ways to empty a host without Quiesce, on the stand-in in virtual time.

`by_hand`: the page of commands that Quiesce replaces (`nova service-disable`,
`host-servers-migrate`, `server migration list` and `server migration confirm` until none is left).
`one_by_one`: a poller that moves a server at a time and reads it until it has arrived. Both confirm
unseen what Nova calls finished.
"""

from collections.abc import Callable
from typing import Any

from tests.harness.fleet import REQUEST, Fleet, virtual_time

BY_HAND_EVERY = 10.0  # virtual seconds between two looks of a person, who does nothing else
POLL_EVERY = 2.0  # as often as Quiesce looks


class Driver:
    def __init__(self, fleet: Fleet) -> None:
        self.fleet, self.host = fleet, fleet.hosts[0]

    def ask(self, method: str, path: str, query: Any = (), body: Any = None) -> Any:
        with virtual_time(self.fleet.model.clock.now):
            answer = self.fleet.api._send("compute", method, path, query, body)
        self.wait(REQUEST)
        return answer.json()

    def act(self, server: str, action: str) -> None:
        self.ask("POST", f"/servers/{server}/action", (), {action: None})

    def disable(self) -> list[str]:
        """-> the host's servers."""
        services = self.ask("GET", "/os-services", {"binary": "nova-compute", "host": self.host})
        service = services["services"][0]["id"]
        self.ask("PUT", f"/os-services/{service}", (), {"status": "disabled"})
        found = self.ask("GET", "/servers", {"all_tenants": "1", "host": self.host})
        return [row["id"] for row in found["servers"]]

    def wait(self, seconds: float) -> None:
        self.fleet.model.clock.advance(seconds)


def by_hand(fleet: Fleet) -> None:
    driver = Driver(fleet)
    servers = driver.disable()
    for server in servers:
        driver.act(server, "migrate")
    left = set(servers)
    while left:
        driver.wait(BY_HAND_EVERY)
        query = {"all_tenants": "1", "status": "VERIFY_RESIZE"}
        arrived = {row["id"] for row in driver.ask("GET", "/servers/detail", query)["servers"]}
        for server in sorted(left & arrived):
            driver.act(server, "confirmResize")
        left -= arrived


def one_by_one(fleet: Fleet) -> None:
    driver = Driver(fleet)

    def becomes(server: str, status: str) -> None:
        while driver.ask("GET", f"/servers/{server}")["server"]["status"] != status:
            driver.wait(POLL_EVERY)

    for server in driver.disable():
        driver.act(server, "migrate")
        becomes(server, "VERIFY_RESIZE")
        driver.act(server, "confirmResize")
        becomes(server, "ACTIVE")


def quiesce(fleet: Fleet) -> None:
    while fleet.moved < fleet.servers:
        fleet.run(1)


DRIVERS: dict[str, Callable[[Fleet], None]] = {
    "Quiesce": quiesce,
    "by hand": by_hand,
    "one by one": one_by_one,
}
