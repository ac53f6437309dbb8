"""From a Kubernetes Secret to an authenticated OpenStack connection.

No file, variable or proxy of the machine is used, and nothing of the Secret but the entry that
`clouds_yaml` has checked.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

import requests
from keystoneauth1 import exceptions as ks
from keystoneauth1.identity import v3
from keystoneauth1.session import Session

from quiesce.api.errors import BadCredentials, CloudUnreachable
from quiesce.api.outside import cleaned
from quiesce.openstack.addresses import origin
from quiesce.openstack.breaker import Breaker
from quiesce.openstack.budget import time_left
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.clouds_yaml import (
    LONGEST_TIMEOUT,
    CloudEntry,
    Method,
    Unusable,
    read_cloud,
)
from quiesce.openstack.http import Api, cause
from quiesce.openstack.single_flight import SingleFlight
from quiesce.openstack.transport import BadCertificates, Transport, trust
from quiesce.ops.identity import USER_AGENT

T = TypeVar("T")

_CACHED = 64
_LARGEST_CA = 512 * 2**10

_PLUGINS = {
    Method.PASSWORD: v3.Password,
    Method.TOKEN: v3.Token,
    Method.APPLICATION_CREDENTIAL: v3.ApplicationCredential,
}


class Secret(Protocol):
    """What is needed of quiesce.kube.secrets.Secret."""

    @property
    def namespace(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def data(self) -> Mapping[str, bytes]: ...


class OneEntry:
    """A lock for keystoneauth's plugin, which gets one token for all threads.

    Its own is waited for without end, also by a thread that holds it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside: int | None = None

    def __enter__(self) -> None:
        """Raises Unauthorized on a second entry, CloudUnreachable where another thread stays."""
        if self._inside == threading.get_ident():
            raise ks.Unauthorized("a token was needed to get a token")
        if not self._lock.acquire(timeout=time_left(LONGEST_TIMEOUT)):
            raise CloudUnreachable("Keystone does not answer a request for a token")
        self._inside = threading.get_ident()

    def __exit__(self, *_error: object) -> None:
        self._inside = None
        self._lock.release()


_Key = tuple[str, str, str]  # of the Secret: namespace and name; of the cloud: its name in there


class Clouds:
    """The open connections, one for each cloud of a Secret; a new version of it is a new one."""

    def __init__(
        self, timeout: float = LONGEST_TIMEOUT, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`timeout`: seconds for one request. `clock`: for the age of shared reads,
        and for the times at which a cloud that gives no answer is asked."""
        self._timeout, self._clock = timeout, clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[_Key, tuple[str, CloudEntry]] = OrderedDict()
        self._open: OrderedDict[_Key, tuple[str, Cloud]] = OrderedDict()
        self._breakers: OrderedDict[_Key, tuple[str, Breaker]] = OrderedDict()
        self._logins = SingleFlight[Cloud]()

    def get(
        self, secret: Secret, cloud_name: str, using: Callable[[str], None] = lambda _: None
    ) -> Cloud:
        """An authenticated cloud. Raises BadCredentials, CloudUnreachable, CloudTooOld.

        `using` is called with host:port of its Keystone before anything is sent, and may raise.
        Threads that want the same one at the same time share one login.
        """
        _, host, port = origin(self._entry(secret, cloud_name).auth_url)
        using(f"{host}:{port}")
        found = self._known(secret, cloud_name)
        if found is not None:
            return found
        try:
            return self._logins.run(
                (secret.namespace, secret.name, cloud_name, secret.version),
                lambda: self._known(secret, cloud_name) or self._log_in(secret, cloud_name),
                time_left(LONGEST_TIMEOUT),
            )
        except TimeoutError as error:
            raise CloudUnreachable(
                f"{_where(secret, cloud_name)}: Keystone has not answered yet, "
                "in the login of another reconciliation"
            ) from error

    def _known(self, secret: Secret, cloud_name: str) -> Cloud | None:
        key = (secret.namespace, secret.name, cloud_name)
        with self._lock:
            version, cloud = self._open.get(key, ("", None))
            if cloud is None or version != secret.version or cloud.broken:
                return None
            self._open.move_to_end(key)
            return cloud

    def _log_in(self, secret: Secret, cloud_name: str) -> Cloud:
        cloud = self._connect(secret, cloud_name)
        with self._lock:
            _keep(self._open, (secret.namespace, secret.name, cloud_name), (secret.version, cloud))
        return cloud

    def forget(self, secret: Secret, cloud_name: str) -> None:
        """Drops a connection whose credentials were refused: the next tick makes a new one."""
        with self._lock:
            self._open.pop((secret.namespace, secret.name, cloud_name), None)

    def _entry(self, secret: Secret, cloud_name: str) -> CloudEntry:
        key = (secret.namespace, secret.name, cloud_name)
        with self._lock:
            version, found = self._entries.get(key, ("", None))
        if found is not None and version == secret.version:
            return found
        found = cloud_entry(secret, cloud_name)
        with self._lock:
            _keep(self._entries, key, (secret.version, found))
        return found

    def _breaker(self, secret: Secret, cloud_name: str) -> Breaker:
        """It outlives a connection that was never made. A Secret that was changed has a new one."""
        key = (secret.namespace, secret.name, cloud_name)
        with self._lock:
            version, found = self._breakers.get(key, ("", None))
            if found is None or version != secret.version:
                found = Breaker(self._clock)
            _keep(self._breakers, key, (secret.version, found))
        return found

    def _connect(self, secret: Secret, cloud_name: str) -> Cloud:
        where = _where(secret, cloud_name)
        entry = self._entry(secret, cloud_name)
        breaker = self._breaker(secret, cloud_name)
        session = _session(secret, entry, min(entry.timeout, self._timeout), breaker)
        try:
            return Cloud(Api(session, entry), self._clock)
        except CloudUnreachable as error:
            raise CloudUnreachable(f"{where}: {error}", error.retry_after) from error
        except BadCredentials as error:
            raise BadCredentials(f"{where}: {error}") from error
        except (ks.Unauthorized, ks.NotFound, ks.BadRequest, ks.Forbidden) as error:
            raise BadCredentials(
                f"{where}: Keystone refused the credentials: {cleaned(str(error))}"
            ) from error
        except (ks.ClientException, requests.RequestException) as error:
            raise CloudUnreachable(f"{where}: {cause(error)}") from error


def _where(secret: Secret, cloud_name: str) -> str:
    return f"Secret {secret.namespace}/{secret.name}, cloud {cleaned(cloud_name, 60)!r}"


def _session(secret: Secret, entry: CloudEntry, timeout: float, breaker: Breaker) -> Session:
    """Nothing is sent yet. Raises BadCredentials."""
    certificates = secret.data.get("cacert")
    where = f"Secret {secret.namespace}/{secret.name}: the key cacert"
    if certificates is not None and len(certificates) > _LARGEST_CA:
        raise BadCredentials(
            f"{where} is larger than {_LARGEST_CA // 2**10} KiB: keep the certificates of the "
            "authorities that signed those of the endpoints"
        )
    try:
        transport = Transport(trust(certificates, verify=entry.verify), timeout, breaker)
    except BadCertificates as error:
        raise BadCredentials(
            f"{where} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)"
        ) from error
    carrier = requests.Session()
    carrier.trust_env = False  # no proxy, no .netrc, no bundle of the machine
    carrier.adapters.clear()
    carrier.mount("https://", transport)
    carrier.mount("http://", transport)
    plugin = _PLUGINS[entry.method](entry.auth_url, **entry.auth)
    plugin._lock = OneEntry()
    return Session(
        plugin,
        carrier,
        timeout=timeout,
        redirect=False,  # the transport follows those that lead nowhere else
        user_agent=USER_AGENT,
    )


def _keep(cache: OrderedDict[_Key, T], key: _Key, value: T) -> None:
    cache[key] = value
    cache.move_to_end(key)
    while len(cache) > _CACHED:
        cache.popitem(last=False)


def cloud_entry(secret: Secret, cloud_name: str) -> CloudEntry:
    """The entry of `clouds.yaml` in a Secret. Raises BadCredentials that says what is wrong."""
    where = f"Secret {secret.namespace}/{secret.name}"
    if "clouds.yaml" not in secret.data:
        raise BadCredentials(
            f"{where} has no key clouds.yaml: add it, with a cloud named "
            f"{cleaned(cloud_name, 60)!r}"
        )
    try:
        return read_cloud(secret.data["clouds.yaml"], cloud_name)
    except Unusable as error:
        raise BadCredentials(f"{where}: {error}") from error
