"""PURE. What changed -> events. A tick that changed nothing has none."""

from collections.abc import Collection, Mapping, Sequence

from quiesce.api.events import Event, normal, warning
from quiesce.api.keyring.status import KeyringRecord, KeyringStatus
from quiesce.api.text import count, some
from quiesce.keyring.model import HostFailure, Identity
from quiesce.keyring.report.status import ON_EACH, named
from quiesce.ssh.keys import PublicKey

_ACTION = "ManageKeys"
_HOSTS_PER_TICK = 5
"""Hosts that get an event of their own in one tick; the rest is in the status."""
_THINGS = 8
"""Changed things that one event names."""


def transitions(before: KeyringRecord, after: KeyringStatus) -> tuple[Event, ...]:
    """Whether `Ready`, or its reason, has changed."""
    now = KeyringRecord(after).ready
    if now == before.ready:
        return ()
    event = warning if now[0] == "False" else normal
    return (event(now[1], _ACTION, after.message),)


def host_events(
    announced: Mapping[str, str], failures: Mapping[str, HostFailure]
) -> tuple[Event, ...]:
    """`announced`: host -> reason of the last failure that an event reported."""
    new = [name for name, failure in failures.items() if announced.get(name) != failure.reason]
    recovered = set(announced) - set(failures)
    return (
        *(
            warning(failures[name].reason, _ACTION, _with_host(name, failures[name].message))
            for name in new[:_HOSTS_PER_TICK]
        ),
        *((normal("HostsRecovered", _ACTION, some(recovered)),) if recovered else ()),
    )


def _with_host(name: str, message: str) -> str:
    return message if message.startswith(name) else f"{name}: {message}"


def change_events(changed: Mapping[str, Sequence[str]], *, repaired: bool) -> tuple[Event, ...]:
    """`repaired`: everything was in order, and nothing else is desired than before."""
    if not changed:
        return ()
    things = {thing for what in changed.values() for thing in what}
    # What was done to the account comes before the files: the list may be cut.
    ordered = sorted(things, key=lambda thing: (thing.startswith("/"), thing))
    more = " …" if len(ordered) > _THINGS else ""
    text = f"{some(changed)}: {', '.join(ordered[:_THINGS])}{more}"
    return (normal("HostsRepaired" if repaired else "HostsChanged", _ACTION, text),)


def pinned(presented: Mapping[str, PublicKey]) -> tuple[Event, ...]:
    return tuple(
        normal(
            "HostKeyTrusted",
            _ACTION,
            f"{host} presented {key.type} {key.fingerprint}: pinned from now on",
        )
        for host, key in sorted(presented.items())[:_HOSTS_PER_TICK]
    )


def key_generated(fingerprint: str, secret_name: str) -> Event:
    return normal(
        "KeyGenerated", _ACTION, f"generated the key {fingerprint} in Secret {secret_name}"
    )


def key_rotated(fingerprint: str) -> Event:
    text = f"every host uses the key {fingerprint}; the old key is removed"
    return normal("KeyRotated", _ACTION, text)


def keys_removed(hosts: int) -> Event:
    text = f"nothing of this keyring is left on {count(hosts, 'host')}"
    return normal("KeysRemoved", _ACTION, text)


def keys_stay(hosts: Collection[str], total: int, identity: Identity) -> str:
    """Where, if nobody removes them, and what removes them there."""
    return f"keys stay on {named(hosts, total)}; {ON_EACH}{identity.by_hand}"


def keys_left(why: str, hosts: Collection[str], total: int, identity: Identity) -> Event:
    """Keys stay, or may stay, on `total` hosts, as far as known these. `why`: begins a sentence."""
    text = f"{why}: keys may be left on {named(hosts, total)}; {ON_EACH}{identity.by_hand}"
    return warning("KeysLeft", _ACTION, text)


def abandoned(hosts: Collection[str], total: int, identity: Identity) -> Event:
    text = (
        "released without removing keys (quiesce.dev/abandon) from "
        f"{named(hosts, total)}; {ON_EACH}{identity.by_hand}"
    )
    return warning("Abandoned", _ACTION, text)


def keys_kept(hosts: Collection[str], total: int) -> Event:
    """Because the spec asks for it."""
    text = f"spec.onDelete is Leave: everything stays on {named(hosts, total)}"
    return normal("KeysKept", _ACTION, text)


def state_lost(secret_name: str, *, trusted: bool) -> Event:
    """The Secret with what was remembered of keys is gone, and something is installed."""
    text = (
        f"Secret {secret_name} was deleted: an earlier key that is not retired yet is no longer "
        "known"
    )
    if trusted:
        text += ", and the next key that each host presents is trusted (trustOnFirstUse)"
    return warning("StateLost", _ACTION, text)
