"""From a Kubernetes Secret to an authenticated OpenStack connection.

No file of the user and no `OS_*` variable is read.
"""

import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import openstack.config
import openstack.connection
import yaml
from keystoneauth1 import exceptions as ks
from keystoneauth1.identity.base import BaseIdentityPlugin
from openstack import exceptions as sdk

from quiesce import __version__
from quiesce.api.errors import BadCredentials, CloudTooOld, CloudUnreachable
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.http import Api, cause

_REQUEST_TIMEOUT = 30.0
"""Seconds: a call that takes longer proves nothing."""
_CACHED = 64


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
    """A lock for keystoneauth's plugin that refuses a thread which already holds it.

    Where Keystone's version document is answered with 401, keystoneauth requests a token to read it
    with (discover.get_version_data, 5.18), while it holds this lock for getting one: with its own
    lock the thread would wait for itself forever.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside: int | None = None

    def __enter__(self) -> None:
        """Raises Unauthorized on a second entry."""
        if self._inside == threading.get_ident():
            raise ks.Unauthorized("Keystone's version document was refused (HTTP 401)")
        self._lock.acquire()
        self._inside = threading.get_ident()

    def __exit__(self, *_error: object) -> None:
        self._inside = None
        self._lock.release()


class Clouds:
    """The open connections, one per (Secret version, cloud name)."""

    def __init__(
        self, timeout: float = _REQUEST_TIMEOUT, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`timeout`: seconds for one request. `clock`: for the age of shared reads."""
        self._timeout, self._clock = timeout, clock
        self._lock = threading.Lock()
        self._open: OrderedDict[tuple[str, str, str, str], Cloud] = OrderedDict()
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def get(self, secret: Secret, cloud_name: str) -> Cloud:
        """An authenticated cloud. Raises BadCredentials, CloudUnreachable, CloudTooOld."""
        key = (secret.namespace, secret.name, secret.version, cloud_name)
        with self._lock:
            if (cloud := self._open.get(key)) is not None and not cloud.broken:
                self._open.move_to_end(key)
                return cloud
        cloud = self._connect(secret, cloud_name)
        with self._lock:
            self._open[key] = cloud
            while len(self._open) > _CACHED:
                self._open.popitem(last=False)
        return cloud

    def forget(self, secret: Secret, cloud_name: str) -> None:
        """Drops a connection whose credentials were refused: the next tick makes a new one."""
        with self._lock:
            self._open.pop((secret.namespace, secret.name, secret.version, cloud_name), None)

    def _connect(self, secret: Secret, cloud_name: str) -> Cloud:
        where = f"Secret {secret.namespace}/{secret.name}"
        config = cloud_config(secret, cloud_name)
        if "cacert" in secret.data:
            config["cacert"] = self._ca_file(secret)
        try:
            region = openstack.config.OpenStackConfig(
                load_yaml_config=False,
                load_envvars=False,
                app_name="quiesce",
                app_version=__version__,
            ).get_one(**config)
            if isinstance(plugin := region.get_session().auth, BaseIdentityPlugin):
                plugin._lock = OneEntry()  # type: ignore[assignment]
            connection = openstack.connection.Connection(config=region)
            return Cloud(Api(connection, self._timeout), self._clock)
        except (CloudUnreachable, CloudTooOld, BadCredentials):
            raise
        except (ks.Unauthorized, ks.NotFound, ks.BadRequest, ks.Forbidden) as error:
            raise BadCredentials(
                f"{where}, cloud {cloud_name!r}: Keystone refused the credentials: {error}"
            ) from error
        except (
            ks.ConnectFailure,
            ks.RetriableConnectionFailure,
            ks.HttpServerError,
            ks.DiscoveryFailure,
        ) as error:
            raise CloudUnreachable(f"{where}, cloud {cloud_name!r}: {cause(error)}") from error
        except LookupError as error:
            raise CloudUnreachable(
                f"{where}, cloud {cloud_name!r}: Keystone's token document lacks {error}"
            ) from error
        except (ks.ClientException, sdk.SDKException, TypeError, ValueError) as error:
            raise BadCredentials(
                f"{where}, cloud {cloud_name!r}: clouds.yaml cannot be used: {error}"
            ) from error

    def _ca_file(self, secret: Secret) -> str:
        with self._lock:
            self._folder = self._folder or tempfile.TemporaryDirectory(prefix="quiesce-")
        path = Path(
            self._folder.name,
            f"{secret.namespace}-{secret.name}-{secret.version.replace('/', '-')}.pem",
        )
        path.write_bytes(secret.data["cacert"])
        return str(path)


def cloud_config(secret: Secret, cloud_name: str) -> dict[str, Any]:
    """The entry of `clouds.yaml` in a Secret. Raises BadCredentials that says what is wrong."""
    where = f"Secret {secret.namespace}/{secret.name}"
    if "clouds.yaml" not in secret.data:
        keys = ", ".join(sorted(secret.data)) or "none"
        raise BadCredentials(f"{where} has no key clouds.yaml (its keys: {keys})")
    try:
        document = yaml.safe_load(secret.data["clouds.yaml"])
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        at = f" at line {mark.line + 1}" if mark else ""
        raise BadCredentials(f"{where}: clouds.yaml is not valid YAML{at}") from error
    clouds = document.get("clouds") if isinstance(document, dict) else None
    if not isinstance(clouds, dict) or not isinstance(clouds.get(cloud_name), dict):
        names = ", ".join(sorted(map(str, clouds))) if isinstance(clouds, dict) else "none"
        raise BadCredentials(
            f"{where}: clouds.yaml has no cloud named {cloud_name!r} (it has: {names})"
        )
    entry = dict(clouds[cloud_name])
    if not isinstance(entry.get("auth"), dict):
        raise BadCredentials(f"{where}: clouds.yaml: cloud {cloud_name!r} has no `auth` section")
    # A write is never sent twice: what the SDK would retry may already have taken effect.
    return entry | {"compute_connect_retries": 0, "compute_status_code_retries": 0}
