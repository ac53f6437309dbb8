"""What a tick of a keyring reads before it visits hosts: Nova's list, access to hosts, keys."""

from quiesce.keyring.observe.key_store import Keys, KeyStore, secrets_by_default
from quiesce.keyring.observe.reads import KeyringObservation, observe

__all__ = ["KeyStore", "KeyringObservation", "Keys", "observe", "secrets_by_default"]
