"""One HTTP call to OpenStack, and what its answer means.

Reads raise on anything but a complete answer; writes are never repeated.
"""

import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import requests
from keystoneauth1 import exceptions as ks
from keystoneauth1.adapter import Adapter
from openstack import exceptions as sdk
from openstack.connection import Connection

from quiesce.api.errors import BadCredentials, CloudTooOld, CloudUnreachable, NotAllowed
from quiesce.openstack.errors import Forbidden, NotFound, NotInCatalog, Refused, Unknown
from quiesce.ops import metrics

log = logging.getLogger(__name__)

# 2.80 (Ussuri): the initiator of a migration is visible, resizes are asynchronous, a service with
# migrations in progress cannot be deleted. Newer ones up to 2.100 add the pinned zone (2.96) and
# image properties (2.98).
FLOOR, CEILING = (2, 80), (2, 100)
_PLACEMENT_VERSION = "1.35"
_NO_SUCH_SERVICE = "not present in the service catalog"
PAGE = 1000  # nova [api]max_limit
# Answers below 500 that are about the time, the size or the rate of requests, or of a proxy: they
# do not tell what Nova did.
_MAY_HAVE_HAPPENED = frozenset({408, 413, 425, 429, 499})

Catalog = Literal["compute", "placement", "network", "block_storage", "image"]
_Query = Mapping[str, str | int] | Sequence[tuple[str, str | int]]
_NO_QUERY: _Query = ()


class Api:
    """The services of one cloud, with one microversion for all calls to Nova."""

    broken = False

    def __init__(self, connection: Connection, timeout: float) -> None:
        """Raises CloudTooOld, CloudUnreachable, BadCredentials, and keystoneauth's own errors."""
        self._timeout = timeout
        self._connection = connection
        session = connection.config.get_session()
        self.user_id: str = session.get_user_id() or ""
        compute: Adapter = connection.compute
        found = compute.get_endpoint_data()
        if found is None:
            raise BadCredentials(
                "clouds.yaml: the cloud's catalog has no compute service for this project, region "
                "and interface"
            )
        newest = found.max_microversion
        # keystoneauth continues with the catalog's URL where it gets no version document.
        if newest is None:
            raise CloudUnreachable(f"Nova's version document at {found.url} could not be read")
        if newest < FLOOR:
            shown = ".".join(map(str, newest))
            raise CloudTooOld(
                f"Nova offers microversion {shown}; a safe drain needs 2.80 or newer "
                "(OpenStack Ussuri, 2020)"
            )
        self.microversion = ".".join(map(str, min(newest, CEILING)))
        self.identity = str(found.url)  # what tells one cloud from another: where its Nova is

    def get(self, service: Catalog, path: str, query: _Query = _NO_QUERY) -> Any:
        """The JSON body of a 200.

        Raises NotFound, NotAllowed, NotInCatalog, BadCredentials, CloudUnreachable.
        """
        answer = self._send(service, "GET", path, query=query)
        if answer.status_code != 200:
            raise failure(answer, f"GET {path}", write=False)
        try:
            return answer.json()
        except ValueError as error:
            raise CloudUnreachable(f"GET {path}: the answer is not complete JSON") from error

    def pages(self, path: str, key: str, query: dict[str, str | int]) -> Iterator[dict[str, Any]]:
        """Every row of a paged list of Nova, whose last row's uuid is the next marker."""
        query = {"limit": PAGE, **query}
        while True:
            body = self.get("compute", path, query)
            if not isinstance(body, dict) or not isinstance(body.get(key), list):
                raise CloudUnreachable(f"GET {path}: the answer has no list {key!r}")
            yield from body[key]
            if not body[key] or not body.get(f"{key}_links"):
                return
            query["marker"] = body[key][-1].get("uuid") or body[key][-1]["id"]

    def write(self, service: Catalog, method: str, path: str, body: Any = None) -> str | None:
        """Sends once; the request id of the accepted call.

        Raises Refused (no effect), Unknown, Forbidden, BadCredentials.
        """
        try:
            answer = self._send(service, method, path, body=body)
        except CloudUnreachable as error:
            raise Unknown(str(error)) from error
        if answer.status_code >= 300:
            raise failure(answer, f"{method} {path}", write=True)
        return request_id(answer)

    def ask(self, service: Catalog, path: str) -> tuple[int, str]:
        """A GET whose refusal is an answer as well: HTTP status (200, 400, 403, 404, 409, 501) and,
        of a refusal, the message. Raises CloudUnreachable, BadCredentials.
        """
        answer = self._send(service, "GET", path)
        if answer.status_code in (200, 400, 403, 404, 409, 501):
            return answer.status_code, message(answer) if answer.status_code != 200 else ""
        raise failure(answer, f"GET {path}", write=False)

    def _send(
        self, service: Catalog, method: str, path: str, query: _Query = _NO_QUERY, body: Any = None
    ) -> requests.Response:
        started = time.monotonic()
        try:
            adapter: Adapter = getattr(self._connection, service)
            options = self._options(service, query, body)
            answer: requests.Response = adapter.request(path, method, **options)
        except (ks.EndpointNotFound, ks.CatalogException) as error:
            raise NotInCatalog(_missing(service)) from error
        except (ks.Unauthorized, ks.NotFound) as error:
            raise BadCredentials(f"Keystone refuses the credentials: {error}") from error
        except (sdk.SDKException, AssertionError, LookupError) as error:
            # openstacksdk/service_description.py: said at the first use, and it does not change.
            if isinstance(error, sdk.SDKException) and _NO_SUCH_SERVICE in str(error):
                raise NotInCatalog(_missing(service)) from error
            # The SDK remembers a failed discovery of a service forever; keystoneauth asserts where
            # two threads renew one token at once, and keeps a token document in which something
            # is missing: only a new connection helps.
            self.broken = True
            why = (
                str(error)
                if isinstance(error, sdk.SDKException)
                else "the session broke while its token was renewed"
            )
            raise CloudUnreachable(f"{method} {path}: {why}") from error
        except (ks.ClientException, requests.RequestException) as error:
            metrics.nova_request(service, method, route(path), "none")
            raise CloudUnreachable(f"{method} {path}: {cause(error)}") from error
        metrics.nova_request(service, method, route(path), str(answer.status_code))
        seconds = round(time.monotonic() - started, 3)
        shown = {"request_id": request_id(answer), "seconds": seconds}
        log.debug("%s %s %s", method, path, answer.status_code, extra=shown)
        return answer

    def _options(self, service: Catalog, query: _Query, body: Any) -> dict[str, Any]:
        options: dict[str, Any] = {"params": query, "timeout": self._timeout, "raise_exc": False}
        if service == "placement":
            options["headers"] = {"OpenStack-API-Version": f"placement {_PLACEMENT_VERSION}"}
        if service == "compute":
            options["microversion"] = self.microversion
        if body is not None:
            options["json"] = body
        return options


def _missing(service: Catalog) -> str:
    return f"the cloud's catalog has no {service.replace('_', ' ')} service"


def cause(error: Exception) -> str:
    """The cause of a failed connection, without urllib3's long texts around it.

    Those differ from time to time.
    """
    text = str(error)
    whole, pool, inner = text.partition("ConnectionPool(")
    if not pool:
        return text
    match = re.search(
        r"(?:\[(?:Errno -?\d+|SSL: \w+)\] |timed out|Remote end closed)[^'\"()]*", inner
    )
    before = re.sub(r"[:\s]*HTTPS?$", "", whole)
    found = match[0].strip(" .") if match else "the connection broke"
    return ": ".join(part for part in (before, found) if part)


def failure(answer: requests.Response, call: str, *, write: bool) -> Exception:
    """The error that an answer other than success means.

    A read that is refused (a marker is gone, say) proves nothing.
    """
    status, detail, rid = answer.status_code, message(answer), request_id(answer)
    text = f"{call}: HTTP {status} {detail}" + (f" ({rid})" if rid else "")
    if status == 401:
        return BadCredentials(f"OpenStack refuses the credentials: {text}")
    if status == 403:
        lacking = (
            f"the credentials lack a permission: {text}. "
            "Give the operator's user the role that this call needs"
        )
        return Forbidden(lacking, detail, rid) if write else NotAllowed(lacking)
    if status == 404:
        return NotFound(status, detail, rid)
    if write and 400 <= status < 500 and status not in _MAY_HAVE_HAPPENED:
        return Refused(status, detail, rid)
    if write:
        return Unknown(text, retry_after(answer))
    return CloudUnreachable(text, retry_after(answer))


def message(answer: requests.Response) -> str:
    """The message of Nova or Placement, at most 500 characters."""
    try:
        body = answer.json()
        if isinstance(errors := body.get("errors"), list) and errors:
            return str(errors[0].get("detail"))[:500]
        return str(next(iter(body.values()))["message"])[:500]
    except (ValueError, AttributeError, StopIteration, TypeError, KeyError):
        return (answer.reason or "").strip()[:500]


def retry_after(answer: requests.Response) -> float | None:
    value = answer.headers.get("Retry-After", "")
    return float(value) if value.isdigit() else None


def request_id(answer: requests.Response) -> str | None:
    return answer.headers.get("x-openstack-request-id") or answer.headers.get(
        "x-compute-request-id"
    )


def route(path: str) -> str:
    """A path without its ids, for metrics: `/servers/6f…/action` -> `/servers/{id}/action`."""
    parts = path.split("?")[0].split("/")
    return "/".join(
        "{id}" if any(c.isdigit() for c in part) and part != "v2.0" else part for part in parts
    )
