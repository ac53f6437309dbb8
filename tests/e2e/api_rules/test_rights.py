"""Rights: the operator needs each one that it has, and people have those they are given by name."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
import yaml
from kubernetes.client import ApiClient, CoreV1Api, CustomObjectsApi
from kubernetes.watch import Watch
from tests.e2e.api_rules.installs import ALL, INSTALLS, ONE, Install
from tests.e2e.api_rules.manifests import drain
from tests.harness.kubernetes import BASE, Kube

from quiesce.api.annotations import DRAIN_FINALIZER, GROUP, KEYRING_FINALIZER, VERSION
from quiesce.kube.client import connect
from quiesce.kube.errors import KubeForbidden, call
from quiesce.kube.events import Events
from quiesce.kube.lease import Leases
from quiesce.kube.resource import Key, Resource
from quiesce.kube.secrets import Secrets
from quiesce.kube.store import MERGE, Store

FINALIZERS = {"computenodedrains": DRAIN_FINALIZER, "migrationkeyrings": KEYRING_FINALIZER}
KEYRING: dict[str, Any] = {
    "apiVersion": f"{GROUP}/{VERSION}",
    "kind": "MigrationKeyring",
    "metadata": {"name": "compute-07"},
    "spec": {
        "hostAccess": {"privateKeySecretRef": {"name": "login"}, "trustOnFirstUse": True},
    },
}
Rights = frozenset[tuple[str, str, str]]
"""(API group, resource, verb) each."""


def granted() -> Rights:
    """What manifests/base gives the operator in the namespace that it watches, and in its own."""
    files = (BASE / "operator-roles.yaml", BASE / "lease-rights.yaml")
    documents = [each for file in files for each in yaml.safe_load_all(file.read_text())]
    roles = [each for each in documents if "rules" in each]
    return frozenset(
        (group, resource, verb)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    )


@dataclass(frozen=True)
class Operator:
    """Everything that the operator sends to the API server, sent as one user."""

    client: ApiClient
    admin: ApiClient
    namespace: str
    names: Iterator[int]

    def refused(self) -> set[str]:
        """The names of the calls that the API server refuses. Raises KubeError for another end."""
        found = set()
        for name, send in self.calls():
            try:
                send()
            except KubeForbidden:
                found.add(name)
        return found

    def calls(self) -> Iterator[tuple[str, Callable[[], Any]]]:
        secrets, namespace = Secrets(self.client), self.namespace
        new = f"new-{next(self.names)}"
        for plural in FINALIZERS:
            yield from self.calls_for(plural)
        yield "read a Secret", lambda: secrets.get(namespace, "given")
        yield "read a ConfigMap", lambda: secrets.config_map(namespace, "given")
        yield "make a Secret", lambda: self.make_secret(new)
        yield "change a Secret", self.change_secret
        yield from self.calls_for_the_lease()
        yield "record an event, and its count", self.record_twice

    def calls_for_the_lease(self) -> Iterator[tuple[str, Callable[[], Any]]]:
        ours, all_ = Leases(self.client, self.namespace), Leases(self.admin, self.namespace)
        new = f"lease-{next(self.names)}"
        given = all_.get("given") or all_.create("given", "", 1, "")
        yield "read a Lease", lambda: ours.get("given")
        yield "list Leases", lambda: ours.list(everywhere=False)
        yield "make a Lease", lambda: ours.create(new, "me", 12, "")
        yield "take a Lease", lambda: ours.take(given, "me", 12, "")

    def calls_for(self, plural: str) -> Iterator[tuple[str, Callable[[], Any]]]:
        store = self.store(plural)
        yield f"list {plural}", store.list
        yield f"watch {plural}", lambda: self.watch(plural)
        yield f"read one of {plural}", lambda: store.get(Key(self.namespace, "compute-07"))
        yield f"finalizer of {plural}", lambda: self.change_finalizers(store, plural)
        number = next(self.names)
        status = {"observedGeneration": number, "message": "read"}
        yield f"status of {plural}", lambda: store.write_status(self.resource(plural), status)

    def store(self, plural: str) -> Store:
        return Store(self.client, plural, (self.namespace,), FINALIZERS[plural])

    def resource(self, plural: str) -> Resource:
        """As an administrator reads it: that right is not what is tested."""
        read = CustomObjectsApi(self.admin).get_namespaced_custom_object
        return Resource(call(read, GROUP, VERSION, self.namespace, plural, "compute-07"))

    def change_finalizers(self, store: Store, plural: str) -> None:
        store.add_finalizer(self.resource(plural))
        store.remove_finalizer(self.resource(plural))

    def watch(self, plural: str) -> None:
        """As kopf sends it."""
        listed = CustomObjectsApi(self.client).list_namespaced_custom_object
        path = (GROUP, VERSION, self.namespace, plural)

        def first_event(_request_timeout: object) -> object:
            stream = Watch().stream(listed, *path, timeout_seconds=5)  # type: ignore[no-untyped-call]
            return next(stream)

        call(first_event)

    def make_secret(self, name: str) -> None:
        """With the verbs of quiesce.kube.secrets, here and below."""
        body = {"metadata": {"name": name}}
        call(CoreV1Api(self.client).create_namespaced_secret, self.namespace, body)

    def change_secret(self) -> None:
        labels = {"metadata": {"labels": {"number": str(next(self.names))}}}
        patch = CoreV1Api(self.client).patch_namespaced_secret
        call(patch, "given", self.namespace, labels, _content_type=MERGE)

    def record_twice(self) -> None:
        """`emit` only logs what is refused, so what it calls is called here."""
        clock = count(0, 61)
        events = Events(self.client, lambda: float(next(clock)))
        resource = self.resource("computenodedrains")
        for _ in range(2):
            events._emit(resource, "Normal", "Pending", "Observe", f"note {self.client}")


@pytest.fixture
def operator_as(
    kube: Kube, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Operator]:
    """The operator's calls as a user, in a namespace that has all that they are about."""
    for name, value in (os.environ | kube.environment).items():
        monkeypatch.setenv(name, value)
    given = {"metadata": {"name": "given"}, "apiVersion": "v1"}
    objects = [{**given, "kind": kind} for kind in ("ConfigMap", "Secret")]
    kube.apply(drain(), KEYRING, *objects, namespace=namespace)
    admin, names = connect(None, 1).client, count(1)

    def made(user: str) -> Operator:
        client = connect(None, 1).client
        client.default_headers["Impersonate-User"] = user
        return Operator(client, admin, namespace, names)

    return made


def role(name: str, rights: Rights, namespace: str) -> list[dict[str, Any]]:
    """A Role with these rights, bound to the user of its name."""
    api = "rbac.authorization.k8s.io"
    metadata = {"name": name, "namespace": namespace}
    rules = [{"apiGroups": [g], "resources": [r], "verbs": [v]} for g, r, v in sorted(rights)]
    return [
        {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{api}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": api, "kind": "Role", "name": name},
            "subjects": [{"apiGroup": api, "kind": "User", "name": name}],
        },
    ]


@pytest.mark.finding("H7")
@pytest.mark.parametrize("installed", INSTALLS, indirect=True)
def test_nothing_that_the_operator_sends_is_refused(
    installed: Install, operator_as: Callable[[str], Operator]
) -> None:
    assert operator_as(installed.account).refused() == set()


@pytest.mark.finding("H7")
def test_the_operator_can_do_without_no_right_that_it_has(
    kube: Kube, namespace: str, operator_as: Callable[[str], Operator]
) -> None:
    everything = granted()
    users = {f"without-{number}": right for number, right in enumerate(sorted(everything))}
    documents = [
        document
        for user, right in users.items()
        for document in role(user, everything - {right}, namespace)
    ]
    kube.apply(*documents, *role("whole", everything, namespace), namespace=namespace)
    Install(kube, namespace, ()).await_right("get", "secrets", "whole")  # applied last
    assert operator_as("whole").refused() == set()
    useless = [right for user, right in users.items() if not operator_as(user).refused()]
    assert useless == []


@pytest.mark.finding("H7")
@pytest.mark.parametrize(
    ("installed", "elsewhere"), [(ONE, False), (ALL, True)], indirect=["installed"]
)
def test_only_the_overlay_reaches_other_namespaces(
    kube: Kube, installed: Install, elsewhere: bool
) -> None:
    read = ("get", "secrets", "any", "-n", "default", f"--as={installed.account}")
    everywhere = ("get", "cnd", "-A", f"--as={installed.account}")
    answer = kube.kubectl(*read, check=False).stderr
    assert ("NotFound" in answer) is elsewhere, answer
    assert (kube.kubectl(*everywhere, check=False).returncode == 0) is elsewhere


READ = ("get", "list", "watch")
WRITE = ("create", "update", "patch", "delete")
DRAINS, KEYRINGS = "computenodedrains.quiesce.dev", "migrationkeyrings.quiesce.dev"
STATUS = "computenodedrains.quiesce.dev/status"


@pytest.mark.finding("H7", "S5")
@pytest.mark.parametrize(
    ("given", "writable"),
    [
        ("view", ()),
        ("edit", ()),
        ("admin", ()),
        ("quiesce-drain-editor", (DRAINS,)),
        ("quiesce-keyring-editor", (KEYRINGS,)),
    ],
)
@pytest.mark.parametrize("installed", [ONE], indirect=True)
def test_people_write_what_they_are_given_by_name(
    installed: Install, given: str, writable: tuple[str, ...]
) -> None:
    ours = given.startswith("quiesce-")
    installed.give("ann", installed.role(given) if ours else given)
    readable = writable or (DRAINS, KEYRINGS)
    for resource in readable:
        installed.await_right("list", resource, "ann")
    wanted = [(verb, resource) for resource in readable for verb in READ]
    wanted += [(verb, resource) for resource in writable for verb in WRITE]
    every = [(verb, what) for what in (DRAINS, KEYRINGS, STATUS) for verb in READ + WRITE]
    if not ours:
        wanted += [(verb, STATUS) for verb in READ]
    assert sorted(installed.allowed(every, installed.namespace, "ann")) == sorted(wanted)
    assert installed.allowed(every, "default", "ann") == []


@pytest.mark.finding("H7", "S5")
@pytest.mark.parametrize("installed", [ONE], indirect=True)
def test_edit_in_one_namespace_drains_nothing_here_or_elsewhere(
    kube: Kube, installed: Install
) -> None:
    installed.give("ann", "edit")
    installed.await_right("list", DRAINS, "ann")
    for namespace in (installed.namespace, "default"):
        for document in (drain(), KEYRING):
            answer = kube.kubectl(
                "create", "-n", namespace, "--as=ann", "-f", "-",
                stdin=json.dumps(document), check=False,
            )  # fmt: skip
            assert "is forbidden" in answer.stderr, answer.stderr


@pytest.mark.finding("H7")
@pytest.mark.parametrize("installed", [ONE], indirect=True)
def test_an_admin_of_a_namespace_cannot_hand_out_what_he_has_not(
    kube: Kube, installed: Install
) -> None:
    installed.give("ann", "admin")
    installed.await_right("create", "rolebindings.rbac.authorization.k8s.io", "ann")
    for editor in ("quiesce-drain-editor", "quiesce-keyring-editor"):
        role = f"--clusterrole={installed.role(editor)}"
        bind = ("create", "rolebinding", "bob", role, "--user=bob", "-n", installed.namespace)
        assert "is attempting to grant" in kube.kubectl(*bind, "--as=ann", check=False).stderr
