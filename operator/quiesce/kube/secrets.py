"""Secrets and ConfigMaps, read by name: no list and no watch, so that few rights are needed.

Written is only what does not exist yet, or what was made for the same resource: labels say so.
A Secret that was made has no owner reference as long as its resource exists, because the garbage
collector would delete it first (foreground deletion), while it is still needed.
"""

import base64
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kubernetes.client import ApiClient

from quiesce.api.errors import ForeignSecret
from quiesce.api.labels import MANAGED_BY, MANAGER, OWNER_UID, label_command, own_labels
from quiesce.kube.core import CoreApi
from quiesce.kube.errors import KubeConflict, KubeForbidden, KubeNotFound, call
from quiesce.kube.resource import Resource
from quiesce.kube.store import APPLY, FIELD_MANAGER, MERGE
from quiesce.kube.writes import write
from quiesce.ops.logging import get_logger

RECENT = 5.0
"""Seconds for which a Secret that many resources name is not read for each of them."""
_MOST_RECENT = 64

log = get_logger(__name__)


@dataclass(frozen=True)
class Secret:
    """A Secret's bytes. `version` changes with every change, and when it is created again.

    `owners`: the uids of its owner references.
    """

    namespace: str
    name: str
    version: str
    data: Mapping[str, bytes] = field(repr=False)
    type: str = "Opaque"
    labels: Mapping[str, str] = field(default_factory=dict)
    owners: frozenset[str] = frozenset()

    def allows(self, label: str) -> bool:
        """Whether a person has set this label to "true"."""
        return self.labels.get(label) == "true"

    def made_for(self, uid: str) -> bool:
        """Whether the operator made it for the resource with this uid.

        Before 0.2 an owner reference shows it.
        """
        return own_labels(uid).items() <= self.labels.items() or uid in self.owners

    @property
    def is_going(self) -> bool:
        """Whether it was made for a resource that is gone: the garbage collector deletes it."""
        made = self.labels.get(MANAGED_BY) == MANAGER and OWNER_UID in self.labels
        return made and self.labels[OWNER_UID] in self.owners


class Secrets:
    """Safe to use from many threads."""

    def __init__(self, client: ApiClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._api, self._clock = CoreApi(client), clock
        self._lock = threading.Lock()
        self._recent: OrderedDict[tuple[str, str], tuple[float, Secret | None]] = OrderedDict()

    def get(self, namespace: str, name: str) -> Secret | None:
        """None if there is no such Secret; raises KubeForbidden if we may not read it."""
        try:
            return _secret(call(self._api.read, "secrets", namespace, name))
        except KubeNotFound:
            return None

    def recent(self, namespace: str, name: str) -> Secret | None:
        """As `get`, or as it was up to RECENT seconds ago: for one that many resources name."""
        key, asked = (namespace, name), self._clock()
        with self._lock:
            at, found = self._recent.get(key, (asked, None))
            if found is not None and asked - at <= RECENT:
                return found
        found = self.get(namespace, name)
        self._keep(key, asked, found)
        return found

    def forget(self, namespace: str, name: str) -> None:
        """It is read the next time: what it holds has failed, or a person may have changed it."""
        self._keep((namespace, name), self._clock(), None)

    def _keep(self, key: tuple[str, str], asked: float, found: Secret | None) -> None:
        with self._lock:
            before = self._recent.pop(key, (asked, None))
            self._recent[key] = (asked, found) if before[0] <= asked else before
            if len(self._recent) > _MOST_RECENT:
                self._recent.popitem(last=False)

    def own(self, owner: Resource, name: str) -> Secret | None:
        """One that was made for `owner`; None if there is no Secret of that name.

        Raises ForeignSecret where it is another one, KubeConflict where that is about to go.
        """
        found = self.get(owner.key.namespace, name)
        if found is None or found.made_for(owner.uid):
            return found
        if found.is_going:
            raise KubeConflict(
                f"Secret {found.namespace}/{name} of a deleted resource is not deleted yet"
            )
        labels = [f"{key}={value}" for key, value in own_labels(owner.uid).items()]
        command = label_command(found.namespace, name, *labels, "--overwrite")
        raise ForeignSecret(
            f"Secret {found.namespace}/{name} was not made for this {owner.kind} and is left as it "
            f"is: delete or rename it. Where it is this one's own, from a backup: {command}"
        )

    def save(self, owner: Resource, name: str, data: Mapping[str, bytes], type_: str) -> Secret:
        """Creates it, or makes the content of one that was made for `owner` exactly `data`.

        `type_` (such as kubernetes.io/ssh-auth) cannot change afterwards: that raises KubeRejected.
        Raises ForeignSecret as `own` does, KubeConflict where it changed in between.
        """
        found = self.own(owner, name)
        if found is None:
            body = _body(name, data, type_, own_labels(owner.uid))
            namespace = owner.key.namespace
            made = write(
                "secrets",
                "create",
                self._api.create,
                "secrets",
                namespace,
                body,
                field_manager=FIELD_MANAGER,
            )
            return _secret(made)
        gone = dict.fromkeys(found.data.keys() - data.keys())
        return self._change(found, owner, [], data={**gone, **_encoded(data)})

    def keep(self, owner: Resource, found: Secret) -> None:
        """Drops the owner reference with which versions before 0.2 made it."""
        if owner.uid in found.owners:
            self._change(found, owner, [])

    def hand_over(self, owner: Resource, names: Iterable[str]) -> None:
        """`owner` is about to go: what was made for it is deleted with it from now on.

        Without the right to change Secrets nothing was made either.
        """
        for name in names:
            try:
                found = self.get(owner.key.namespace, name)
                if found is not None and found.made_for(owner.uid):
                    self._change(found, owner, [_reference(owner)])
            except KubeNotFound:
                continue
            except KubeForbidden as error:
                log.warning("Secret %s/%s is left as it is: %s", owner.key.namespace, name, error)

    def apply(
        self,
        namespace: str,
        name: str,
        data: Mapping[str, bytes],
        type_: str,
        labels: Mapping[str, str],
    ) -> Secret:
        """For a person who asks for it: creates it, or makes our keys in it exactly `data`."""
        applied = write(
            "secrets",
            "patch",
            self._api.patch,
            "secrets",
            namespace,
            name,
            _body(name, data, type_, labels),
            field_manager=FIELD_MANAGER,
            force=True,
            content_type=APPLY,
        )
        return _secret(applied)

    def config_map(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """Its `data`; None if there is no such ConfigMap."""
        try:
            found = call(self._api.read, "configmaps", namespace, name)
        except KubeNotFound:
            return None
        return found.get("data") or {}

    def _change(
        self, found: Secret, owner: Resource, references: list[dict[str, str]], **more: Any
    ) -> Secret:
        """Not where it changed since it was read: then it may not be ours any more."""
        metadata = {
            "resourceVersion": found.version.rpartition("/")[2],
            "labels": own_labels(owner.uid),
            "ownerReferences": references,
        }
        changed = write(
            "secrets",
            "patch",
            self._api.patch,
            "secrets",
            found.namespace,
            found.name,
            {"metadata": metadata, **more},
            field_manager=FIELD_MANAGER,
            content_type=MERGE,
        )
        return _secret(changed)


def _body(
    name: str, data: Mapping[str, bytes], type_: str, labels: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": dict(labels)},
        "type": type_,
        "data": _encoded(data),
    }


def _encoded(data: Mapping[str, bytes]) -> dict[str, str]:
    return {key: base64.b64encode(value).decode() for key, value in data.items()}


def _secret(found: Mapping[str, Any]) -> Secret:
    metadata = found["metadata"]
    return Secret(
        metadata["namespace"],
        metadata["name"],
        f"{metadata['uid']}/{metadata['resourceVersion']}",
        {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()},
        found.get("type") or "Opaque",
        metadata.get("labels") or {},
        frozenset(each["uid"] for each in metadata.get("ownerReferences") or ()),
    )


def _reference(owner: Resource) -> dict[str, str]:
    return {
        "apiVersion": owner.api_version,
        "kind": owner.kind,
        "name": owner.key.name,
        "uid": owner.uid,
    }
