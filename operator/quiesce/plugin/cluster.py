"""ComputeNodeDrains of an API server, with the rights of the person who asks. Sends, and no more.

Importing it loads the Kubernetes client, which takes a second: do it where one is needed.
"""

import json
import os
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import urllib3
from kubernetes import config
from kubernetes.client import ApiClient, Configuration, CustomObjectsApi

from quiesce import __version__
from quiesce.api.annotations import GROUP, VERSION
from quiesce.kube.errors import KubeError, KubeExpired, KubeNotFound, KubeUnavailable, call
from quiesce.plugin.exits import Failed

PLURAL = "computenodedrains"
KIND = "ComputeNodeDrain"
MANAGER = "kubectl-quiesce"  # shown in metadata.managedFields
_PAGE = 200
_SILENCE = 75.0  # seconds: the API server sends a bookmark every minute
_MERGE = "application/merge-patch+json"

Json = dict[str, Any]


class Cluster:
    """`namespace`: the one that is meant where none is named."""

    def __init__(self, client: ApiClient, namespace: str) -> None:
        self._api = CustomObjectsApi(client)
        self.namespace = namespace

    def list(
        self, namespace: str | None, name: str | None = None, patience: float | None = None
    ) -> tuple[list[Json], str]:
        """Those of a namespace, or of all (None); and the version that a watch continues from.
        `patience`: seconds for an answer, if fewer than usual. Raises KubeError.
        """
        found: list[Json] = []
        token: str | None = None
        while True:
            page = self._read(namespace, name, patience, limit=_PAGE, _continue=token)
            found += page["items"]
            token = page["metadata"].get("continue")
            if not token:
                return found, str(page["metadata"]["resourceVersion"])

    def get(self, namespace: str, name: str) -> Json | None:
        """None: it is not there. Raises KubeError."""
        try:
            read = self._api.get_namespaced_custom_object
            found: Json = call(read, GROUP, VERSION, namespace, PLURAL, name)
        except KubeNotFound:
            return None
        return found

    def create(self, namespace: str, body: Json, *, dry_run: bool = False) -> Json:
        """Raises KubeConflict where one of that name exists, or another KubeError."""
        write = self._api.create_namespaced_custom_object
        dry: Json = {"dry_run": "All"} if dry_run else {}
        path = (GROUP, VERSION, namespace, PLURAL)
        made: Json = call(write, *path, body, field_manager=MANAGER, **dry)
        return made

    def patch(self, namespace: str, name: str, body: Json) -> Json:
        """A merge patch. Raises KubeConflict where it names an old resourceVersion."""
        path = (GROUP, VERSION, namespace, PLURAL, name)
        patched: Json = call(
            self._api.patch_namespaced_custom_object,
            *path,
            body,
            field_manager=MANAGER,
            _content_type=_MERGE,
        )
        return patched

    def delete(self, namespace: str, name: str, uid: str, version: str | None = None) -> None:
        """This very one, in this version if it is named. Raises KubeConflict where it is another
        one.
        """
        preconditions = {"uid": uid} | ({"resourceVersion": version} if version else {})
        path = (GROUP, VERSION, namespace, PLURAL, name)
        call(
            self._api.delete_namespaced_custom_object,
            *path,
            body={"preconditions": preconditions},
        )

    def watch(
        self, namespace: str | None, name: str | None, version: str
    ) -> Iterator[tuple[str, Json]]:
        """(ADDED, MODIFIED, DELETED or BOOKMARK, the drain), until the API server ends it. Raises
        KubeExpired where `version` is too old, KubeUnavailable where the connection breaks.
        """
        answer = self._read(
            namespace,
            name,
            _SILENCE,
            watch=True,
            resource_version=version,
            allow_watch_bookmarks=True,
            _preload_content=False,
        )
        try:
            for text in _lines(answer):
                event = json.loads(text)
                if event["type"] == "ERROR":
                    raise _watch_error(event["object"])
                yield event["type"], event["object"]
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise KubeUnavailable(f"the watch was cut: {error}") from error
        finally:
            answer.close()

    def _read(
        self, namespace: str | None, name: str | None, patience: float | None, **options: Any
    ) -> Any:
        if name is not None:
            options["field_selector"] = f"metadata.name={name}"
        path = (GROUP, VERSION) + (() if namespace is None else (namespace,)) + (PLURAL,)
        method: Callable[..., Any] = (
            self._api.list_cluster_custom_object
            if namespace is None
            else self._api.list_namespaced_custom_object
        )

        def read(*args: Any, _request_timeout: Any, **kwargs: Any) -> Any:
            limits = (
                (min(patience, _request_timeout[0]), patience) if patience else _request_timeout
            )
            return method(*args, _request_timeout=limits, **kwargs)

        return call(read, *path, **options)


def connect(
    kubeconfig: str | None, context: str | None, namespace: str | None, user: str | None
) -> Cluster:
    """As kubectl would: a kubeconfig, else the pod's service account. `user`: to impersonate.
    Sends no request. Raises Failed.
    """
    configuration = Configuration()
    files = kubeconfig or os.environ.get("KUBECONFIG") or str(Path("~/.kube/config").expanduser())
    named = kubeconfig or os.environ.get("KUBECONFIG") or Path(files).exists() or context
    inside = "KUBERNETES_SERVICE_HOST" in os.environ and not named
    try:
        found = _load_account(configuration) if inside else _load(files, context, configuration)
    except Exception as error:
        raise Failed(f"no usable kubeconfig in {files}: {error}") from error
    configuration.retries = urllib3.Retry(
        connect=1, read=0, redirect=0, status=0, other=0, respect_retry_after_header=False
    )
    client = ApiClient(configuration)
    client.user_agent = f"{MANAGER}/{__version__}"
    if user:
        client.set_default_header("Impersonate-User", user)  # type: ignore[no-untyped-call]
    return Cluster(client, namespace or found)


def _load(files: str, context: str | None, configuration: Configuration) -> str:
    """Returns the namespace of the context."""
    config.load_kube_config(files, context, configuration, persist_config=False)  # type: ignore[no-untyped-call]
    contexts, active = config.list_kube_config_contexts(files)  # type: ignore[no-untyped-call]
    name = context or active["name"]
    chosen = next(each for each in contexts if each["name"] == name)
    return str(chosen["context"].get("namespace") or "default")


def _load_account(configuration: Configuration) -> str:
    config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
    folder = Path("/var/run/secrets/kubernetes.io/serviceaccount")
    return (folder / "namespace").read_text().strip()


def _lines(answer: Any) -> Iterator[bytes]:
    """As they come: read1 returns what is there, and nothing at the end only."""
    rest = b""
    while chunk := answer.read1():
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (text for text in whole if text.strip())


def _watch_error(status: Json) -> KubeError:
    text = str(status.get("message") or status.get("reason") or "the watch was ended")
    return KubeExpired(text) if status.get("code") == 410 else KubeUnavailable(text)


def role_for(verb_writes: bool) -> str:
    return "quiesce-drain-editor" if verb_writes else "quiesce-viewer"


def binding(namespace: str | None, role: str, user: str | None) -> str:
    """What an administrator runs to give a user one of our roles."""
    who = f"--user={shlex.quote(user)}" if user else "--user=USER"
    if namespace is None:
        return f"kubectl create clusterrolebinding {role} --clusterrole={role} {who}"
    where = shlex.quote(namespace)
    return f"kubectl -n {where} create rolebinding {role} --clusterrole={role} {who}"
