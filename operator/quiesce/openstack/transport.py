"""How requests reach OpenStack: each ends in time, and no answer is larger than can be afforded.

A requests adapter in place of the usual one. That one ends a read after a time without any byte,
so that a server which sends one byte a second holds it forever; it reads what it is sent, and
unpacks it, whatever its size; and it takes certificates from a file only. No proxy, .netrc or
variable of the machine is used.
"""

import http.client
import io
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any, cast
from urllib.parse import urljoin

import requests
import urllib3
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.ssl_ import create_urllib3_context

from quiesce.openstack.addresses import address_fault, origin
from quiesce.openstack.breaker import Breaker
from quiesce.openstack.budget import time_left
from quiesce.ops import leadership
from quiesce.ops.one_piece import InOnePiece, changes
from quiesce.ops.resolve import is_link_local, resolve

LARGEST_REFUSAL = 64 * 2**10
"""Bytes of the body of an error: of a longer one only the status counts."""
_MOST_REDIRECTS = 3
_MOST_ADDRESSES = 4
"""Of one host name: each is tried in turn."""
_HEADERS = 2**20  # bytes
_CHUNK = 64 * 2**10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CERTIFICATE = re.compile(
    rb"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]{1,65536}-----END CERTIFICATE-----"
)


@dataclass(frozen=True, slots=True)
class Bound:
    """What an answer may have: bytes, and values of JSON, each of which takes up to 200 bytes of
    memory, however short its text is.
    """

    size: int
    values: int


LIST = Bound(6 * 2**20, 200_000)
"""A page of 50 servers has 200 KiB, and 4 MiB where all of them have the longest user data."""
OBJECT = Bound(2**20, 25_000)
"""Many may be read side by side."""
RESULT = Bound(256 * 2**10, 10_000)
"""Of anything but a GET. Tokens are kept as long as the connection; with the catalog of a cloud of
ten regions one has 100 KiB."""

_bound: ContextVar[Bound] = ContextVar("bound", default=OBJECT)


@contextmanager
def at_most(bound: Bound) -> Iterator[None]:
    """For the answers to a GET in this block."""
    token = _bound.set(bound)
    try:
        yield
    finally:
        _bound.reset(token)


def values_in(body: bytes | bytearray) -> int:
    """At least as many as a JSON document has."""
    return body.count(b",") + body.count(b"{") + body.count(b"[")


class _Exchange:
    """One request and its answer: when it has to have ended, and what may still be read."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._bytes = LIST.size + _HEADERS

    def time_left(self) -> float:
        """Raises TimeoutError."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left

    def count(self, read: int) -> None:
        """Raises OSError."""
        self._bytes -= read
        if self._bytes < 0:
            raise OSError("the answer is too large")


_exchange: ContextVar[_Exchange] = ContextVar("exchange")


@contextmanager
def _begun(seconds: float, method: str) -> Iterator[None]:
    """Raises NotLeading where the method is one that changes something."""
    token = _exchange.set(_Exchange(seconds))
    try:
        with leadership.writing() if changes(method) else nullcontext():
            yield
    finally:
        _exchange.reset(token)


class _TimedReads(io.RawIOBase):
    """A socket's bytes, each read within what is left of the exchange that is going on."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        exchange = _exchange.get()
        self._sock.settimeout(exchange.time_left())
        read = self._raw.readinto(buffer)
        exchange.count(read or 0)
        return int(read) if read is not None else None

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedSocket:
    """What http.client asks of a socket to read an answer."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReads(self._sock))


class _Answer(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(_TimedSocket(sock), *args, **kwargs)  # type: ignore[arg-type]


class _Timed:
    """A connection that is made, and whose answers are read, in the time of the exchange."""

    response_class = _Answer

    def _new_conn(self: Any) -> socket.socket:
        """urllib3's own gives each address of a name the whole time."""
        exchange = _exchange.get()
        try:
            found = resolve(self._dns_host, self.port, exchange.time_left())
        except TimeoutError as error:
            raise ConnectTimeoutError(self, "timed out") from error
        except (OSError, UnicodeError) as error:
            known = error if isinstance(error, socket.gaierror) else socket.gaierror(str(error))
            raise NameResolutionError(self.host, self, known) from error
        problem: OSError | None = None
        for family, kind, protocol, _, address in found[:_MOST_ADDRESSES]:
            if is_link_local(str(address[0])):
                problem = OSError("its address is link-local, which no cloud has")
                continue
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(exchange.time_left())
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.connect(address)
                sock.settimeout(exchange.time_left())  # for TLS
            except OSError as error:
                sock.close()
                problem = error
            else:
                return sock
        if isinstance(problem, TimeoutError):
            raise ConnectTimeoutError(self, "timed out") from problem
        raise NewConnectionError(self, f"Failed to establish a new connection: {problem}")


class _Http(_Timed, InOnePiece, HTTPConnection):  # type: ignore[misc]
    pass


class _Https(_Timed, InOnePiece, HTTPSConnection):  # type: ignore[misc]
    pass


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Https


class Transport(BaseAdapter):
    """Safe to use from many threads."""

    def __init__(self, tls: ssl.SSLContext, timeout: float, breaker: Breaker | None = None) -> None:
        """`timeout`: seconds for one request, from the first byte sent to the last one read.
        `breaker`: of the cloud's services.
        """
        super().__init__()
        self._timeout = timeout
        self._breaker = breaker or Breaker()
        self._pools = urllib3.PoolManager(8, maxsize=32, ssl_context=tls)
        self._pools.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def send(
        self, request: requests.PreparedRequest, *_args: Any, **_options: Any
    ) -> requests.Response:
        """The whole answer. Raises requests' errors, NotAsked among them, CloudUnreachable at a
        budget's end, and NotLeading where the request would change something.
        """
        url, seconds = str(request.url), time_left(self._timeout)
        _check(url)
        service = "{}://{}:{}".format(*origin(url))
        # Diagnostics are answered by a nova-compute: that one is silent, not Nova.
        counts = seconds >= self._timeout and not url.endswith("/diagnostics")
        with (
            _begun(seconds, str(request.method)),
            self._breaker.asking(service, counts=counts) as answered,
        ):
            try:
                return self._exchange(request, url, answered)
            except urllib3.exceptions.SSLError as error:
                raise requests.exceptions.SSLError(error) from error
            except NewConnectionError as error:  # to urllib3 a kind of timeout, which it is not
                raise requests.exceptions.ConnectionError(error) from error
            except urllib3.exceptions.TimeoutError as error:
                raise requests.exceptions.Timeout(error) from error
            except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                if isinstance(error, requests.RequestException):
                    raise
                raise requests.exceptions.ConnectionError(error) from error

    def _exchange(
        self, request: requests.PreparedRequest, url: str, answered: Callable[[], None]
    ) -> requests.Response:
        for _ in range(_MOST_REDIRECTS + 1):
            raw = self._pools.urlopen(
                str(request.method),
                url,
                body=request.body,
                headers={**request.headers, "Accept-Encoding": "identity"},
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
            )
            answered()
            answer = _answer(request, url, raw)
            target = answer.headers.get("Location")
            if target is None or raw.status not in _REDIRECTS or request.method != "GET":
                return answer
            url = _followed(url, target)
        raise requests.exceptions.TooManyRedirects(f"more than {_MOST_REDIRECTS} redirects")

    def close(self) -> None:
        self._pools.clear()


def _check(url: str) -> None:
    """The query is ours; all that stands before it may be of a catalog."""
    if fault := address_fault(url.partition("?")[0]):
        raise requests.exceptions.InvalidURL(f"the address of the service {fault}")


def _followed(url: str, target: str) -> str:
    """Where a redirect leads. It may not lead elsewhere: the token goes with the request."""
    found = urljoin(url, target)
    if address_fault(found.partition("?")[0]) or origin(found) != origin(url):
        raise requests.exceptions.InvalidURL(
            "the answer is a redirect to another scheme, host or port, which is not followed: "
            "correct the service's address in the catalog"
        )
    return found


def _answer(
    request: requests.PreparedRequest, url: str, raw: urllib3.BaseHTTPResponse
) -> requests.Response:
    answer = requests.Response()
    answer.status_code = raw.status
    answer.reason = raw.reason or ""
    answer.headers = CaseInsensitiveDict(raw.headers)
    answer.url, answer.request = url, request
    if raw.status < 200:
        # What it announces comes later, and would be taken for the answer to the next request.
        raw.close()
        raise OSError(f"the answer is HTTP {raw.status}, which is none")
    # What a server says about its encoding, or not, does not lead to a guess.
    answer.encoding = "utf-8"
    try:
        answer._content = _body(raw, _bound.get() if request.method == "GET" else RESULT)
    except BaseException:
        raw.close()
        raise
    return answer


def _body(raw: urllib3.BaseHTTPResponse, bound: Bound) -> bytes:
    """Empty for an error that is too long, whose connection is then closed."""
    refusal = raw.status >= 400
    most = LARGEST_REFUSAL if refusal else bound.size
    if raw.headers.get("Content-Encoding", "identity") != "identity":
        raise requests.exceptions.ContentDecodingError("the answer is compressed")
    body = bytearray()
    while chunk := raw.read(_CHUNK, decode_content=False):
        body += chunk
        if len(body) > most:
            raw.close()
            if refusal:
                return b""
            raise OSError(f"the answer is larger than {most // 2**10} KiB")
    if values_in(body) > bound.values:
        raise OSError("the answer has more values than can be read at once")
    return cast(bytes, body)  # not copied: many may be here at once


# Certificates


class BadCertificates(Exception):
    """There is no certificate in what a Secret has as such."""


def trust(certificates: bytes | None, *, verify: bool) -> ssl.SSLContext:
    """TLS that trusts these certificates (PEM); None: the usual authorities.

    Raises BadCertificates.
    """
    if certificates is None and verify:
        return _usual()
    context = create_urllib3_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    found = _CERTIFICATE.findall(certificates or b"")
    try:
        context.load_verify_locations(cadata=b"\n".join(found).decode())
    except (ssl.SSLError, ValueError) as error:
        raise BadCertificates from error
    return context


@cache
def _usual() -> ssl.SSLContext:
    context = create_urllib3_context()
    context.load_verify_locations(requests.utils.DEFAULT_CA_BUNDLE_PATH)
    return context
