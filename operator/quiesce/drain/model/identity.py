"""What names a drain in Nova: the reason that its disabled service carries."""

from dataclasses import dataclass

_REASON_LENGTH = 255  # nova services.disabled_reason
_NAME_LENGTH = 200  # of the drain within it: its uid comes after the name and must fit
_PREFIX = "quiesce: drain "
# Reasons that drivers of Nova set, and lift themselves as long as they find them
# (virt/libvirt/driver.py DISABLE_PREFIX, virt/vmwareapi/host.py _set_host_enabled).
_NOVAS_OWN = ("AUTO: ", "set by vmwareapi host_state")


@dataclass(frozen=True, slots=True)
class DrainIdentity:
    namespace: str
    name: str
    uid: str

    @property
    def mark(self) -> str:
        """The beginning of every reason that this drain sets: its name for people, its uid for
        itself.
        """
        return f"{_PREFIX}{f'{self.namespace}/{self.name}'[:_NAME_LENGTH]} [{self.uid[:8]}]"

    def reason(self, text: str) -> str:
        """The `disabled_reason` with the spec's own text behind the mark."""
        return (f"{self.mark}: {text}" if text else self.mark)[:_REASON_LENGTH]

    def owns(self, disabled_reason: str | None) -> bool:
        """Whether this drain has set it."""
        reason = disabled_reason or ""
        return reason.startswith(_PREFIX) and f"[{self.uid[:8]}]" in reason


def is_novas_own(disabled_reason: str | None) -> bool:
    """Whether Nova itself has disabled the service, for as long as the hypervisor is not usable."""
    return (disabled_reason or "").startswith(_NOVAS_OWN)
