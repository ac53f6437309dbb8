"""What a server's flavor, image and volumes make of it, read as Nova reads them.

From nova/virt/hardware.py and nova/vtpm.py at 34.0.0.
"""

from collections.abc import Mapping
from typing import Literal

from quiesce.openstack.records import Server

# oslo_utils/strutils.py TRUE_STRINGS
_TRUE = frozenset({"1", "t", "true", "on", "y", "yes"})

TpmSecret = Literal["user", "host", "deployment"]


def has_accelerator(server: Server) -> bool:
    return bool(server.flavor.extra_specs.get("accel:device_profile"))


def has_pci_alias(server: Server) -> bool:
    return bool(server.flavor.extra_specs.get("pci_passthrough:alias"))


def has_encrypted_memory(server: Server) -> bool:
    specs, image = server.flavor.extra_specs, server.image_properties
    return _is_true(specs, "hw:mem_encryption") or _is_true(image, "hw_mem_encryption")


def tpm_secret(server: Server) -> TpmSecret | None:
    """Who can read the secret of its virtual TPM; None: it has no virtual TPM.

    That is asked of the flavor alone, and `user` by default.
    """
    specs = server.flavor.extra_specs
    if not (specs.get("hw:tpm_version") or server.image_properties.get("hw_tpm_version")):
        return None
    match specs.get("hw:tpm_secret_security"):
        case "host":
            return "host"
        case "deployment":
            return "deployment"
        case _:
            return "user"


def is_bound_to_owner(server: Server) -> bool:
    """Whether Nova may be able to start it on behalf of its owner only, on this host as on any
    other: Barbican refuses everybody else the secret (nova/crypto.py ensure_vtpm_secret).
    """
    return bool(server.encrypted) or tpm_secret(server) in ("user", "host")


def _is_true(properties: Mapping[str, str], name: str) -> bool:
    return str(properties.get(name, "")).strip().lower() in _TRUE
