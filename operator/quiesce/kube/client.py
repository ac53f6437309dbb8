"""Which API server, and as whom: found as kubectl finds it. One client for all threads."""

import copy
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kopf
import urllib3
from kubernetes import config
from kubernetes.client import ApiClient, Configuration, CustomObjectsApi
from kubernetes.client.rest import should_bypass_proxies
from urllib3.connection import HTTPConnection, HTTPSConnection

from quiesce.api.annotations import GROUP, VERSION
from quiesce.kube.errors import KubeKindUnknown, call
from quiesce.ops import leadership
from quiesce.ops.identity import USER_AGENT
from quiesce.ops.one_piece import InOnePiece, changes

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where the kubelet puts a pod's service account."""


class NoCluster(Exception):
    """There is no usable configuration of an API server. The text says where it was searched."""


@dataclass(frozen=True)
class Cluster:
    """An API server and an identity there."""

    client: ApiClient
    """It refuses writes unless this process leads."""
    lease_client: ApiClient
    """For the Lease alone: never refused, never waits for a connection that others use."""
    server: str
    namespace: str
    """The namespace of the pod, or of the kubeconfig's context."""
    inside: bool
    """Whether this is a pod of the cluster."""
    found: str
    """Where the configuration was found, for people."""
    login: Callable[[], kopf.ConnectionInfo]
    """The same identity for kopf, read at each call: tokens are rotated."""


def connect(context: str | None, connections: int) -> Cluster:
    """`context`: one of the kubeconfig's (never in-cluster then). Sends no request.

    The client never waits inside a request (Retry-After) and never repeats a write: the queue
    repeats the whole tick. Raises NoCluster.
    """
    inside = context is None and _in_cluster()
    load = _load_account if inside else lambda: _load_kubeconfig(context)
    configuration, namespace, found = load()
    configuration.connection_pool_maxsize = connections
    configuration.retries = urllib3.Retry(
        connect=1, read=1, redirect=0, status=0, other=0, respect_retry_after_header=False
    )
    client, lease_client = _Fenced(configuration), ApiClient(_never_repeating(configuration))
    client.user_agent = lease_client.user_agent = USER_AGENT
    return Cluster(
        client,
        lease_client,
        configuration.host,
        namespace,
        inside,
        found,
        lambda: _for_kopf(load()[0]),
    )


class _Http(InOnePiece, HTTPConnection):
    pass


class _Https(InOnePiece, HTTPSConnection):
    pass


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Https


class _Fenced(ApiClient):
    """All requests pass here, whichever API class makes them."""

    def __init__(self, configuration: Configuration) -> None:
        super().__init__(configuration)
        pools = {"http": _HttpPool, "https": _HttpsPool}
        self.rest_client.pool_manager.pool_classes_by_scheme = pools

    def call_api(self, method: str, *args: Any, **options: Any) -> Any:
        """Raises NotLeading."""
        if not changes(method):
            return super().call_api(method, *args, **options)
        with leadership.writing():
            return super().call_api(method, *args, **options)


def _never_repeating(configuration: Configuration) -> Configuration:
    own = copy.copy(configuration)
    own.retries = urllib3.Retry(0, redirect=0, respect_retry_after_header=False)
    return own


def _in_cluster() -> bool:
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and (ACCOUNT / "token").exists()


def served_plurals(client: ApiClient) -> frozenset[str]:
    """Kinds of our group that the API server serves, by discovery: needs no right to read CRDs."""
    try:
        found = call(CustomObjectsApi(client).get_api_resources, GROUP, VERSION)
    except KubeKindUnknown:
        return frozenset()
    return frozenset(resource.name for resource in found.resources)


def _load_account() -> tuple[Configuration, str, str]:
    configuration = Configuration()
    try:
        config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
        namespace = (ACCOUNT / "namespace").read_text().strip()
    except (config.ConfigException, OSError) as error:
        raise NoCluster(
            f"the pod's service account in {ACCOUNT} cannot be used: {error}"
        ) from error
    return configuration, namespace, "the pod's service account"


def _load_kubeconfig(context: str | None) -> tuple[Configuration, str, str]:
    files = os.environ.get("KUBECONFIG") or str(Path("~/.kube/config"))
    configuration = Configuration()
    try:
        config.load_kube_config(files, context, configuration, persist_config=False)  # type: ignore[no-untyped-call]
        contexts, active = config.list_kube_config_contexts(files)  # type: ignore[no-untyped-call]
    except Exception as error:
        raise NoCluster(
            f"no usable kubeconfig in {files} (KUBECONFIG, else ~/.kube/config): {error}"
        ) from error
    if configuration.tls_server_name:
        raise NoCluster(
            f"{files}: tls-server-name is not supported: use a server URL that its certificate has"
        )
    chosen = next(each for each in contexts if each["name"] == (context or active["name"]))
    namespace = chosen["context"].get("namespace") or "default"
    return configuration, namespace, f"context {chosen['name']!r} of {files}"


def _for_kopf(configuration: Configuration) -> kopf.ConnectionInfo:
    """Like kopf.login_via_client, but of this configuration, not the process's default one."""
    header = configuration.get_api_key_with_prefix("BearerToken") or ""
    scheme, _, token = header.rpartition(" ")
    proxy = configuration.proxy
    if proxy and should_bypass_proxies(configuration.host, configuration.no_proxy or ""):
        proxy = None
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        username=configuration.username or None,
        password=configuration.password or None,
        scheme=scheme or None,
        token=token or None,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        proxy_url=proxy,
    )
