"""`make run`: the operator on the kubeconfig at hand. Where OS_CLOUD is given, it becomes the Secret `openstack-clouds` first."""

import os
import sys
from pathlib import Path

import yaml
from openstack.config import OpenStackConfig
from openstack.exceptions import ConfigException

from quiesce.__main__ import main as quiesce
from quiesce.exits import Exit
from quiesce.kube.client import NoCluster, connect
from quiesce.kube.errors import KubeError
from quiesce.kube.secrets import Secrets

SECRET, CLOUD = "openstack-clouds", "openstack"  # what a drain uses that names no other


def entry(cloud: str) -> tuple[dict[str, object], bytes | None]:
    """That cloud of clouds.yaml with what secure.yaml adds, and its CA certificates. Exits with what is missing."""
    try:
        config = OpenStackConfig(load_envvars=False, config_files=files())
    except (ConfigException, yaml.YAMLError) as error:
        sys.exit(f"run: clouds.yaml cannot be read: {error}")
    where = config.config_filename or "clouds.yaml in ., ~/.config/openstack, /etc/openstack"
    clouds = config.cloud_config.get("clouds") or {}
    if cloud not in clouds:
        sys.exit(
            f"run: {where} has no cloud {cloud!r} (it has: {', '.join(sorted(clouds)) or 'none'}); correct OS_CLOUD"
        )
    found = dict(clouds[cloud])
    ca = found.pop("cacert", None)
    print(f"run: cloud {cloud!r} of {where}", flush=True)
    return found, Path(str(ca)).expanduser().read_bytes() if ca else None


def files() -> list[str] | None:
    named = os.environ.get("OS_CLIENT_CONFIG_FILE")
    if named and not Path(named).is_file():
        sys.exit(f"run: OS_CLIENT_CONFIG_FILE={named} is no file")
    return [named] if named else None


def make_secret(cloud: str, namespace: str | None) -> None:
    found, ca = entry(cloud)
    data = {"clouds.yaml": yaml.safe_dump({"clouds": {CLOUD: found}}).encode()} | (
        {"cacert": ca} if ca else {}
    )
    cluster = connect(None, connections=1)
    where = namespace or cluster.namespace
    Secrets(cluster.client).apply(where, SECRET, data, "Opaque", None)
    print(
        f"run: Secret {where}/{SECRET} now holds it as cloud {CLOUD!r}, at {cluster.server} ({cluster.found})",
        flush=True,
    )


def main(arguments: list[str]) -> int:
    namespace = (
        arguments[arguments.index("--namespace") + 1] if "--namespace" in arguments else None
    )
    cloud = os.environ.get("OS_CLOUD")
    if cloud:
        try:
            make_secret(cloud, namespace)
        except (NoCluster, KubeError) as error:
            print(f"run: {error}", file=sys.stderr)
            return Exit.NO_API
    else:
        print(
            f"run: OS_CLOUD is not set, so no Secret is made; drains use the {SECRET} that is there",
            flush=True,
        )
    return quiesce(["run", *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
