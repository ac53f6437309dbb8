"""An install as users make it, with its account and its rights on the API server."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.harness.kubernetes import Kube
from tests.harness.openstack import until

ROOT = Path(__file__).parents[3]
ONE, ALL = "base", "overlays/all-namespaces"
INSTALLS = (ONE, ALL)


@dataclass(frozen=True)
class Install:
    """One install, moved into a namespace of its own and with cluster-wide names of its own.

    The namespace that `base` watches is that of the operator then.
    """

    kube: Kube
    namespace: str
    documents: tuple[dict[str, Any], ...]

    def of_kind(self, *kinds: str) -> list[dict[str, Any]]:
        return [document for document in self.documents if document["kind"] in kinds]

    @property
    def account(self) -> str:
        (found,) = self.of_kind("ServiceAccount")
        return f"system:serviceaccount:{self.namespace}:{found['metadata']['name']}"

    def role(self, name: str) -> str:
        """The name of a ClusterRole of the manifests in this install."""
        return f"{name}-{self.namespace}"

    def allowed(
        self, asked: Iterable[tuple[str, str]], namespace: str, who: str | None = None
    ) -> list[tuple[str, str]]:
        """Those of (verb, resource) that a user may do; None: the operator's account."""
        asked = list(asked)
        reviews = [review(who or self.account, each, namespace) for each in asked]
        shown = ("-o", r"jsonpath={.status.allowed}{'\n'}")
        answers = self.kube.kubectl(
            "create", "-f", "-", *shown, stdin=yaml.safe_dump_all(reviews)
        ).stdout.split()
        return [each for each, answer in zip(asked, answers, strict=True) if answer == "true"]

    def give(self, who: str, role: str) -> None:
        """Bind a ClusterRole to a user in the install's namespace."""
        binding = ("rolebinding", f"{who}-{role}", f"--clusterrole={role}", f"--user={who}")
        self.kube.kubectl("create", *binding, "-n", self.namespace)

    def await_right(self, verb: str, resource: str, who: str | None = None) -> None:
        """The API server learns of new roles by a watch, a moment after they are written."""
        until(
            f"{who or 'the operator'} may {verb} {resource}",
            lambda: self.allowed([(verb, resource)], self.namespace, who),
            timeout=30,
        )


def review(who: str, asked: tuple[str, str], namespace: str) -> dict[str, Any]:
    """May `who` do this? `asked`: a verb, and a resource as `plural.group/subresource`."""
    name, _, part = asked[1].partition("/")
    plural, _, group = name.partition(".")
    attributes = {"namespace": namespace, "verb": asked[0], "group": group, "resource": plural}
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": who, "resourceAttributes": {**attributes, "subresource": part}},
    }


def rendered(kube: Kube, namespace: str, which: str, folder: Path) -> Install:
    """As a user would: an overlay that sets the namespace and a suffix."""
    overlay = {
        "namespace": namespace,
        "nameSuffix": f"-{namespace}",
        "resources": [os.path.relpath(ROOT / "manifests" / which, folder.resolve())],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    text = kube.kubectl("kustomize", str(folder)).stdout
    return Install(kube, namespace, tuple(yaml.safe_load_all(text)))
