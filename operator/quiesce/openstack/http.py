"""One HTTP call to OpenStack, and what its answer means.

Reads raise on anything but a complete answer; writes are never repeated.
"""

import http
import logging
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import requests
from keystoneauth1 import exceptions as ks
from keystoneauth1.access import AccessInfo, AccessInfoV3
from keystoneauth1.identity.base import BaseIdentityPlugin
from keystoneauth1.session import Session

from quiesce.api.errors import BadCredentials, CloudTooOld, CloudUnreachable, NotAllowed
from quiesce.api.outside import cleaned
from quiesce.openstack.access_rules import rule_for, why_rejected
from quiesce.openstack.addresses import is_id
from quiesce.openstack.breaker import was_sent
from quiesce.openstack.budget import take
from quiesce.openstack.catalog import SERVICE_TYPES, Catalog, base_url, identity, is_same
from quiesce.openstack.clouds_yaml import CloudEntry
from quiesce.openstack.errors import Forbidden, NotFound, NotInCatalog, Refused, Unknown
from quiesce.openstack.routes import find_route, route
from quiesce.openstack.transport import LIST, OBJECT, Bound, at_most, values_in
from quiesce.ops import metrics

__all__ = ["Api", "Catalog"]

log = logging.getLogger(__name__)

# 2.80 (Ussuri): the initiator of a migration is visible, resizes are asynchronous, a service with
# migrations in progress cannot be deleted. Newer ones up to 2.100 add the pinned zone (2.96) and
# image properties (2.98).
FLOOR, CEILING = (2, 80), (2, 100)
_PLACEMENT_VERSION = "1.35"
PAGE = 1000  # nova [api]max_limit
_MOST_PAGES = 100
_PARSING = threading.Lock()
"""One document at a time becomes values, which takes several times its memory. Nothing is waited
for meanwhile, so nobody can hold it."""
_VERSION = re.compile(r"([0-9]{1,4})\.([0-9]{1,6})", re.ASCII)
_LONGEST_WAIT = 300.0
"""Seconds: a server that asks for more is asked again after that."""
# Answers below 500 that are about the time, the size or the rate of requests, or of a proxy: they
# do not tell what Nova did.
_MAY_HAVE_HAPPENED = frozenset({408, 413, 425, 429, 499})
# What a document of another shape than it should have raises where it is read.
MISREAD = (
    TypeError,
    ValueError,
    AttributeError,
    LookupError,
    AssertionError,
    OverflowError,
    RecursionError,
)

_Query = Mapping[str, str | int] | Sequence[tuple[str, str | int]]
_NO_QUERY: _Query = ()


@contextmanager
def _in_call(method: str, path: str) -> Iterator[None]:
    """What fails in it says which call that was."""
    try:
        yield
    except CloudUnreachable as error:
        error.call = f"{method} {route(path)}"
        raise


class Api:
    """The services of one cloud, with one microversion for all calls to Nova."""

    broken = False

    def __init__(self, session: Session, entry: CloudEntry) -> None:
        """Gets a token, and reads Nova's version document.

        Raises CloudTooOld, CloudUnreachable, BadCredentials, and keystoneauth's own errors.
        """
        self._session, self._entry = session, entry
        self._bases: tuple[AccessInfo, dict[Catalog, str]] | None = None
        try:
            access = self._access()
            self.user_id = str(access.user_id or "")
            self.identity = self._identity(access)
            nova = self._base("compute")
        except NotInCatalog as error:
            raise BadCredentials(
                "the cloud's catalog has no compute service for this project, region and "
                "interface: correct region_name and interface in clouds.yaml"
            ) from error
        except MISREAD as error:
            raise CloudUnreachable("Keystone's token document cannot be read") from error
        self.microversion = _microversion(self._version_document(nova))

    def _access(self) -> AccessInfo:
        assert isinstance(self._session.auth, BaseIdentityPlugin)  # noqa: S101 -- we have made it
        return self._session.auth.get_access(self._session)

    def _identity(self, access: AccessInfo) -> str:
        """By all that the catalog has of Nova in this region, whatever is used of it."""
        catalog, project = access.service_catalog, access.project_id
        listed = catalog.get_endpoint_data_list("compute", None, self._entry.region)
        override = self._entry.overrides.get("compute")
        used = override or self._listed("compute", access)
        region = self._entry.region or next(
            (e.region_name for e in listed if is_same(str(e.catalog_url), used, project)), None
        )
        here = [str(e.catalog_url) for e in listed if e.region_name == region or not region]
        if override and not any(is_same(each, override, project) for each in here):
            raise BadCredentials(
                "compute_endpoint_override in clouds.yaml is none of the addresses that the "
                "cloud's catalog has for Nova in this region, so which cloud is there is not "
                "known: remove it, or register that address as an endpoint"
            )
        return identity([used, *here], region, project)

    def _base(self, service: Catalog) -> str:
        """Where a service is, by the token that is in use. Raises NotInCatalog."""
        access = self._access()
        if self._bases is None or self._bases[0] is not access:
            self._bases = (access, {})
        bases = self._bases[1]
        if service not in bases:
            address = self._entry.overrides.get(service) or self._listed(service, access)
            bases[service] = base_url(service, address, access.project_id)
        return bases[service]

    def _listed(self, service: Catalog, access: AccessInfo) -> str:
        if not access.service_catalog.catalog:
            raise NotInCatalog(_missing(service))
        try:
            found = access.service_catalog.endpoint_data_for(
                SERVICE_TYPES[service], self._entry.interface, self._entry.region
            )
        except (ks.EndpointNotFound, ks.CatalogException) as error:
            raise NotInCatalog(_missing(service)) from error
        return str(found.catalog_url)

    def _version_document(self, nova: str) -> requests.Response:
        answer = self._session.request(f"{nova}/", "GET", raise_exc=False)
        if answer.status_code == 401:
            raise BadCredentials(
                "Nova refuses the token that Keystone gave for the credentials: name one cloud in "
                "auth_url and compute_endpoint_override of clouds.yaml, or correct "
                "[keystone_authtoken] in nova.conf of the API"
            )
        if answer.status_code != 200:
            raise CloudUnreachable(
                f"Nova's version document at {nova} could not be read: HTTP {answer.status_code}",
                retry_after(answer),
            )
        return answer

    def get(
        self,
        service: Catalog,
        path: str,
        query: _Query = _NO_QUERY,
        *,
        most: Bound = OBJECT,
        kept: bool = True,
    ) -> Any:
        """The JSON body of a 200. `most`: LIST for a list of a whole cloud or host. `kept`: what it
        says is kept as it is, so that it counts for the memory of a reconciliation.

        Raises NotFound (of an object only), NotAllowed, NotInCatalog, BadCredentials,
        CloudUnreachable.
        """
        with _in_call("GET", path), at_most(most):
            answer = self._send(service, "GET", path, query=query)
            if answer.status_code != 200:
                error = failure(answer, f"GET {path}", write=False)
                if isinstance(error, NotFound) and most is LIST:
                    # A list that is not there is no empty list: it is another service's address.
                    raise CloudUnreachable(f"GET {path}: HTTP 404 {error.message}".rstrip())
                raise error
            if kept:
                take(len(answer.content), values_in(answer.content))
            try:
                with _PARSING:
                    return answer.json()
            except MISREAD as error:
                raise CloudUnreachable(f"GET {path}: the answer is not complete JSON") from error

    def pages(
        self, path: str, key: str, query: dict[str, str | int], *, kept: bool = True
    ) -> Iterator[dict[str, Any]]:
        """Every row of a paged list of Nova, whose last row's uuid is the next marker. `kept`: as
        of `get`.

        Raises CloudUnreachable also where pages do not end.
        """
        query = {"limit": PAGE, **query}
        markers: set[str] = set()
        while len(markers) < _MOST_PAGES:
            body = self.get("compute", path, query, most=LIST, kept=kept)
            found = body.get(key) if isinstance(body, dict) else None
            if not isinstance(found, list):
                raise CloudUnreachable(f"GET {path}: the answer has no list {key!r}")
            if len(found) > int(query["limit"]):
                raise CloudUnreachable(f"GET {path}: the page has more rows than were asked for")
            yield from found
            if not found or not body.get(f"{key}_links"):
                return
            marker = _marker(found[-1])
            if marker is None or marker in markers:
                raise CloudUnreachable(f"GET {path}: the list cannot be continued after its page")
            markers.add(marker)
            query["marker"] = marker
            del body, found  # not beside the next page
        raise CloudUnreachable(f"GET {path}: the list does not end after {_MOST_PAGES} pages")

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
        """A GET whose refusal is an answer as well: HTTP status (200, 400, 404, 409, 501) and, of a
        refusal, the message. Raises CloudUnreachable, BadCredentials, NotAllowed.
        """
        with _in_call("GET", path):
            answer = self._send(service, "GET", path)
            if answer.status_code in (200, 400, 404, 409, 501):
                return answer.status_code, message(answer) if answer.status_code != 200 else ""
            raise failure(answer, f"GET {path}", write=False)

    def _send(
        self, service: Catalog, method: str, path: str, query: _Query = _NO_QUERY, body: Any = None
    ) -> requests.Response:
        started = time.monotonic()
        try:
            url = f"{self._base(service)}{path}"
            answer = self._session.request(url, method, **_options(self, service, query, body))
        except ks.CatalogException as error:
            raise NotInCatalog(_missing(service)) from error
        except (ks.Unauthorized, ks.NotFound) as error:
            raise BadCredentials(
                f"Keystone refuses the credentials: {cleaned(str(error))}"
            ) from error
        except MISREAD as error:
            # keystoneauth asserts where two threads renew one token at once, and keeps a token
            # document in which something is missing: only a new connection helps.
            self.broken = True
            raise CloudUnreachable(
                f"{method} {path}: the session broke while its token was renewed"
            ) from error
        except (ks.ClientException, requests.RequestException) as error:
            took = time.monotonic() - started
            if was_sent(error):
                metrics.nova_request(service, method, route(path), "none", took)
            raise CloudUnreachable(f"{method} {path}: {cause(error)}") from error
        took = time.monotonic() - started
        metrics.nova_request(service, method, route(path), _known_status(answer), took)
        shown = {"request_id": request_id(answer), "seconds": round(took, 3)}
        log.debug("%s %s %s", method, path, answer.status_code, extra=shown)
        if answer.status_code == 401:
            self._explain(service, method, path)
        if answer.status_code == 406 and service == "compute":
            self.broken = True  # another Nova by now, which does not know this microversion
        return answer

    def _explain(self, service: Catalog, method: str, path: str) -> None:
        """Raises NotAllowed where a token was rejected because of its access rules.

        keystoneauth has tried a second token by then, which Keystone gave a moment ago.
        """
        try:
            access, known = self._access(), find_route(service, method, path)
            if known is None or not isinstance(access, AccessInfoV3):
                return
            rules = access.application_credential_access_rules
            if rules is None:
                return
            base = self._base(service)
            rule = rule_for(known, self._service_type(service, access), base)
            why = why_rejected(known, rule, f"{base}{path}", rules)
        except (ks.ClientException, NotInCatalog, *MISREAD):
            return
        raise NotAllowed(why)

    def _service_type(self, service: Catalog, access: AccessInfo) -> str:
        """As the catalog has it: `volumev3` or `block-storage`."""
        found = access.service_catalog.endpoint_data_for(
            SERVICE_TYPES[service], self._entry.interface, self._entry.region
        )
        return str(found.service_type)


def _options(api: Api, service: Catalog, query: _Query, body: Any) -> dict[str, Any]:
    options: dict[str, Any] = {"params": query, "raise_exc": False}
    if service == "placement":
        options["headers"] = {"OpenStack-API-Version": f"placement {_PLACEMENT_VERSION}"}
    if service == "compute":
        options["headers"] = {"OpenStack-API-Version": f"compute {api.microversion}"}
    if body is not None:
        options["json"] = body
    return options


def _microversion(document: requests.Response) -> str:
    """The newest one that both sides know. Raises CloudTooOld, CloudUnreachable."""
    try:
        found = _VERSION.fullmatch(document.json()["version"]["version"])
        newest = int(found[1]), int(found[2])  # type: ignore[index]
    except MISREAD as error:
        raise CloudUnreachable("Nova's version document could not be read") from error
    if newest < FLOOR:
        shown = ".".join(map(str, newest))
        raise CloudTooOld(
            f"Nova offers microversion {shown}; a safe drain needs 2.80 or newer "
            "(OpenStack Ussuri, 2020)"
        )
    return ".".join(map(str, min(newest, CEILING)))


def _marker(row: Any) -> str | None:
    """Of a list's last row: nothing but an ID goes into the next request."""
    found = (row.get("uuid") or row.get("id")) if isinstance(row, dict) else None
    return str(found) if is_id(str(found)) and not isinstance(found, bool) else None


def _known_status(answer: requests.Response) -> str:
    try:
        return str(http.HTTPStatus(answer.status_code).value)
    except ValueError:
        return "other"


def _missing(service: Catalog) -> str:
    return f"the cloud's catalog has no {service.replace('_', ' ')} service"


_WORDY = re.compile(  # the transport has connections of its own: _Http, _Https
    r"(?:(?:HTTPS?)?Connection(?:Pool)?|_Https?)\(|\('Connection (?:aborted|broken)"
)


def cause(error: Exception) -> str:
    """The cause of a failed connection, without urllib3's long texts around it.

    Those differ from time to time.
    """
    text = cleaned(str(error), 1000)
    wordy = _WORDY.search(text)
    if wordy is None:
        return cleaned(text)
    whole, inner = text[: wordy.start()], text[wordy.start() :]
    match = re.search(
        r"(?:\[(?:Errno -?\d+|SSL: \w+)\] |timed out|Remote end closed|its address is link-local)"
        r"[^'\"()]*",
        inner,
    )
    before = whole.rstrip(": ")
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
            return cleaned(str(errors[0].get("detail")), 500)
        return cleaned(str(next(iter(body.values()))["message"]), 500)
    except (StopIteration, *MISREAD):
        return cleaned(answer.reason or "", 500)


def retry_after(answer: requests.Response) -> float | None:
    """Seconds, at most five minutes; None: none were named. A date is not read: clocks differ."""
    value = str(answer.headers.get("Retry-After", "")).strip()
    if not re.fullmatch(r"[0-9]+", value, re.ASCII):
        return None
    return float(min(int(value.lstrip("0")[:9] or "0"), _LONGEST_WAIT))


def request_id(answer: requests.Response) -> str | None:
    found = answer.headers.get("x-openstack-request-id") or answer.headers.get(
        "x-compute-request-id"
    )
    return found if is_id(found) else None
