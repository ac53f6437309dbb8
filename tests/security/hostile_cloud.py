"""A cloud over HTTP on loopback that may do what no cloud should, path by path.

    with HostileCloud({"/v2.1/os-services": drip}) as there:
        clouds.get(there.secret(), "openstack")

Everything that is not named answers as Keystone and Nova do.
"""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import yaml

from quiesce.kube.secrets import Secret

Reply = Callable[["Connection"], None]
NEVER = 3600.0  # seconds


@dataclass
class Connection:
    """One request, to be answered on `socket`. `sent`: bytes of the answer so far."""

    socket: socket.socket
    cloud: "HostileCloud"
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    sent: int = 0

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)
        self.sent += len(data)

    def head(self, status: int = 200, *lines: str) -> None:
        self.send("".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status} X", *lines, "")).encode())

    def wait(self, seconds: float = NEVER) -> None:
        """Until then, or the end of the cloud."""
        self.cloud.ended.wait(seconds)
        if self.cloud.ended.is_set():
            raise ConnectionAbortedError


@dataclass
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class HostileCloud:
    """`replies`: path, without its query -> what is done with a request for it."""

    replies: Mapping[str, Reply] = field(default_factory=dict)
    catalog: list[dict[str, Any]] | None = None
    requests: list[Request] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    tls: ssl.SSLContext | None = None

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _e: BaseException | None, _t: TracebackType | None
    ) -> None:
        self.ended.set()
        self._listener.close()

    @property
    def base(self) -> str:
        scheme = "https" if self.tls else "http"
        return f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"

    def secret(self, namespace: str = "ns", **entry: Any) -> Secret:
        auth = {"auth_url": f"{self.base}/v3", "username": "quiesce", "password": "{hunter2}"}
        document = {"clouds": {"openstack": {"auth": auth} | entry}}
        return Secret(namespace, "clouds", "1", {"clouds.yaml": yaml.safe_dump(document).encode()})

    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    def _accept(self) -> None:
        while not self.ended.is_set():
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[accepted], daemon=True).start()

    def _serve(self, accepted: socket.socket) -> None:
        if self.tls is not None:
            try:
                accepted = self.tls.wrap_socket(accepted, server_side=True)
            except OSError:
                return
        with accepted, accepted.makefile("rb") as stream:
            try:
                while line := stream.readline():
                    method, path, _ = line.decode().split()
                    headers = {}
                    while header := stream.readline().decode().strip():
                        name, _, value = header.partition(":")
                        headers[name.lower()] = value.strip()
                    body = stream.read(int(headers.get("content-length", 0)))
                    self.requests.append(Request(method, path, headers, body))
                    connection = Connection(accepted, self, method, path, headers, body)
                    self.connections.append(connection)
                    self._reply(connection)
            except (OSError, ValueError):
                return

    def _reply(self, connection: Connection) -> None:
        path = connection.path.partition("?")[0]
        if path in self.replies:
            self.replies[path](connection)
        elif path == "/v3/auth/tokens":
            answer(self.token(), 201, "X-Subject-Token: gAAAAtoken")(connection)
        elif path == "/v2.1/":
            answer({"version": {"id": "v2.1", "version": "2.96"}})(connection)
        elif path.startswith("/v2.1/"):
            name = path.split("/")[2].removeprefix("os-").replace("-", "_")
            answer({name: []})(connection)
        else:
            answer({}, 404)(connection)

    def token(self) -> dict[str, Any]:
        end = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(time.time() + 86400))
        catalog = self.catalog
        if catalog is None:
            endpoint = {"interface": "public", "region": "R", "region_id": "R", "id": "e1"}
            catalog = [
                {
                    "type": name,
                    "name": name,
                    "id": name,
                    "endpoints": [endpoint | {"url": f"{self.base}{path}"}],
                }
                for name, path in (("compute", "/v2.1"), ("placement", "/placement"))
            ]
        return {
            "token": {
                "expires_at": end,
                "user": {"id": "me", "name": "quiesce", "domain": {"id": "default"}},
                "project": {"id": "p1", "name": "admin", "domain": {"id": "default"}},
                "catalog": catalog,
                "methods": ["password"],
                "roles": [],
            }
        }


def answer(body: Any, status: int = 200, *headers: str) -> Reply:
    """`body`: bytes as they are, or JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    def reply(connection: Connection) -> None:
        connection.head(status, f"Content-Length: {len(data)}", *headers)
        connection.send(data)

    return reply


def says_nothing(connection: Connection) -> None:
    connection.wait()


def drips_its_head(connection: Connection) -> None:
    connection.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.send(b"X-A: b\r\n")
        connection.wait(0.05)


def drips_its_body(connection: Connection) -> None:
    connection.head(200, "Content-Length: 100000")
    while True:
        connection.send(b" ")
        connection.wait(0.05)


def goes_on(connection: Connection) -> None:
    """100 Continue, again and again."""
    while True:
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


def floods_its_head(connection: Connection) -> None:
    connection.send(b"HTTP/1.1 200 OK\r\nX-A: ")
    while True:
        connection.send(b"b" * 65536)


def floods_its_body(connection: Connection) -> None:
    connection.head(200)
    while True:
        connection.send(b" " * 65536)


def floods_its_refusal(connection: Connection) -> None:
    connection.head(409)
    while True:
        connection.send(b" " * 65536)


def floods_in_chunks(connection: Connection) -> None:
    connection.head(200, "Transfer-Encoding: chunked")
    while True:
        connection.send(b"10000\r\n" + b" " * 65536 + b"\r\n")


def is_no_http(connection: Connection) -> None:
    connection.send(b"SSH-2.0-OpenSSH_9.2p1\r\n")
    connection.wait(0.05)
    connection.socket.shutdown(socket.SHUT_RDWR)


def breaks_off(connection: Connection) -> None:
    connection.head(200, "Content-Length: 100")
    connection.send(b'{"a": ')
    connection.socket.shutdown(socket.SHUT_RDWR)


def redirects(target: str, status: int = 302) -> Reply:
    return answer(b"", status, f"Location: {target}")


def hints_first(body: Any, status: int = 200) -> Reply:
    """HTTP 103 (RFC 8297), and the answer itself a moment later."""

    def reply(connection: Connection) -> None:
        connection.head(103, "Link: </x>; rel=preload")
        connection.wait(0.3)
        answer(body, status)(connection)

    return reply
