"""`quiesce credentials`: stores one cloud of your clouds.yaml in the Secret that resources use.

It finds clouds.yaml and secure.yaml as OpenStack clients do (OS_CLOUD, OS_CLIENT_CONFIG_FILE,
OS_CLIENT_SECURE_FILE) and writes with your kubeconfig. The operator itself reads Secrets only.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from openstack.config import OpenStackConfig
from openstack.exceptions import ConfigException

from quiesce.api.labels import CLOUD_CREDENTIALS
from quiesce.exits import Exit
from quiesce.kube.client import NoCluster, connect
from quiesce.kube.errors import KubeError
from quiesce.kube.secrets import Secrets
from quiesce.openstack.clouds_yaml import Unusable, is_used, read_cloud
from quiesce.settings import Parser

_SECRET, _CLOUD = "openstack-clouds", "openstack"
"""The defaults of spec.cloudCredentialsRef."""


class _WithoutAliases(yaml.SafeDumper):
    """The operator refuses `&` and `*`."""

    def ignore_aliases(self, data: object) -> bool:
        return True


class _Unusable(Exception):
    """A file or its content cannot be used. The text says which, and what to change."""


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Runs it; returns the exit code (quiesce.exits)."""
    parser = _parser()
    flags = parser.parse_args(argv)
    cloud = flags.cloud or environ.get("OS_CLOUD")
    if not cloud:
        parser.error("name a cloud of clouds.yaml: --cloud NAME, or the variable OS_CLOUD")
    try:
        _store(_data(cloud, environ), flags.namespace, flags.context)
    except _Unusable as error:
        parser.error(str(error))
    except (NoCluster, KubeError) as error:
        parser.exit(Exit.NO_API, f"{parser.prog}: {error}\n")
    return Exit.OK


def _parser() -> Parser:
    parser = Parser(
        prog="quiesce credentials",
        description=f"Stores one cloud of your clouds.yaml, with its password from secure.yaml and "
        f"its CA certificates, in the Secret {_SECRET}, under the name {_CLOUD!r}. "
        "These are the defaults of spec.cloudCredentialsRef.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--cloud",
        metavar="NAME",
        help="the cloud's name in clouds.yaml [default $OS_CLOUD]; the file is "
        "$OS_CLIENT_CONFIG_FILE, or clouds.yaml where OpenStack clients look for it",
    )
    parser.add_argument(
        "--namespace",
        metavar="NS",
        help="the Secret's namespace [default: that of the kubeconfig's context]",
    )
    parser.add_argument(
        "--context",
        metavar="NAME",
        help="use this context of the kubeconfig, even inside a cluster",
    )
    return parser


def _data(cloud: str, environ: Mapping[str, str]) -> dict[str, bytes]:
    """The Secret's keys, of which the operator can use all. Raises _Unusable."""
    entry = _entry(cloud, environ)
    ca = entry.pop("cacert", None)
    unused = sorted(key for key in entry if not is_used(key))
    if unused:
        print(f"Left out, because the operator does not use it: {', '.join(unused)}", flush=True)
    used = {key: value for key, value in entry.items() if key not in unused}
    text = yaml.dump({"clouds": {_CLOUD: used}}, Dumper=_WithoutAliases).encode()
    try:
        read_cloud(text, _CLOUD)
    except Unusable as error:
        raise _Unusable(f"cloud {cloud!r}: {error}") from error
    data = {"clouds.yaml": text}
    if ca:
        data["cacert"] = _content(Path(str(ca)).expanduser())
    return data


def _entry(cloud: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """That cloud's part of clouds.yaml, with what secure.yaml adds to it."""
    file, secure = (environ.get(f"OS_CLIENT_{name}_FILE") for name in ("CONFIG", "SECURE"))
    try:
        config = OpenStackConfig(
            load_envvars=False,
            config_files=[file] if file else None,
            secure_files=[secure] if secure else None,
        )
    except (ConfigException, yaml.YAMLError, OSError) as error:
        raise _Unusable(f"clouds.yaml cannot be read: {' '.join(str(error).split())}") from error
    found = config.config_filename
    if not found:  # openstacksdk skips what it cannot parse, and puts the reason in the log
        where = (
            f"OS_CLIENT_CONFIG_FILE={file}" if file else "., ~/.config/openstack, /etc/openstack"
        )
        raise _Unusable(f"no clouds.yaml can be read: {where}")
    clouds = config.cloud_config["clouds"]
    if cloud not in clouds:
        raise _Unusable(f"no cloud {cloud!r} in {found}; it has: {', '.join(sorted(clouds))}")
    print(f"Cloud {cloud!r} of {found}", flush=True)
    return dict(clouds[cloud])


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise _Unusable(f"cacert {file} cannot be read: {error.strerror or error}") from error


def _store(data: Mapping[str, bytes], namespace: str | None, context: str | None) -> None:
    cluster = connect(context, connections=1)
    where = namespace or cluster.namespace
    Secrets(cluster.client).apply(where, _SECRET, data, "Opaque", {CLOUD_CREDENTIALS: "true"})
    print(
        f"Secret {where}/{_SECRET} holds it as cloud {_CLOUD!r}, at {cluster.server}"
        f" ({cluster.found})",
        flush=True,
    )
