"""What can be known ahead about servers that Nova cannot live-migrate (nova/compute/api.py and
libvirt, 34.0.0).
"""

from quiesce.openstack.records import Server


def live_obstacle(server: Server) -> str | None:
    """Why Nova would refuse or fail to live-migrate this server, as far as flavor and image tell;
    None: nothing known.
    """
    specs, image = server.flavor.extra_specs, server.image_properties
    if "accel:device_profile" in specs:
        return "its flavor uses an accelerator (accel:device_profile)"
    if "pci_passthrough:alias" in specs:
        return "its flavor passes a PCI device through (pci_passthrough:alias)"
    if specs.get("hw:mem_encryption") == "true" or image.get("hw_mem_encryption") == "true":
        return "its memory is encrypted (hw:mem_encryption)"
    tpm = specs.get("hw:tpm_version") or image.get("hw_tpm_version")
    if tpm and specs.get("hw:tpm_secret_security") not in ("host", "deployment"):
        return "its virtual TPM is bound to its owner's secret (hw:tpm_version)"
    return None
