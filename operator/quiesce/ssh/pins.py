"""Pinned host keys: a known_hosts file as OpenSSH writes it, and what it says about one host.

Names, addresses, `[name]:port` and hashed names are understood. Host certificates
(`@cert-authority`) are not; a `@revoked` key is refused wherever it shows up.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from quiesce.ssh.errors import BadKey
from quiesce.ssh.keys import PublicKey, read_public

SSH_PORT = 22
_HASHED = "|1|"


@dataclass(frozen=True, slots=True)
class Pin:
    """One line: the host names as written, and the key."""

    names: tuple[str, ...]
    key: PublicKey


@dataclass(frozen=True)
class Pins:
    """All pinned keys."""

    pins: tuple[Pin, ...] = ()
    revoked: frozenset[PublicKey] = frozenset()

    def of(self, names: Iterable[str], port: int) -> tuple[PublicKey, ...]:
        """The keys of a host that goes by any of `names`, in the file's order.

        With another port than 22 entries `[name]:port` come first, then plain names, as in
        OpenSSH's check_host_key (sshconnect.c).
        """
        wanted = tuple(dict.fromkeys(name for name in names if name))
        exact = self._matching(tuple(spelled(name, port) for name in wanted))
        found = exact or self._matching(wanted)
        return tuple(key for key in dict.fromkeys(found) if key not in self.revoked)

    def of_first(self, name: str, port: int) -> tuple[PublicKey, ...]:
        """The keys of lines that begin with this very name."""
        spellings = {spelled(name, port), name}
        found = (pin.key for pin in self.pins if pin.names[0] in spellings)
        return tuple(dict.fromkeys(found))

    def _matching(self, names: tuple[str, ...]) -> tuple[PublicKey, ...]:
        plain = (place for name in names for place in self._by_name.get(name.lower(), ()))
        hashed = (place for place, entry in self._hashed for name in names if _hides(entry, name))
        return tuple(self.pins[place].key for place in sorted({*plain, *hashed}))

    @cached_property
    def _by_name(self) -> Mapping[str, tuple[int, ...]]:
        """Name -> its lines: with hundreds of hosts a search of all lines would be slow."""
        found: dict[str, tuple[int, ...]] = {}
        for place, pin in enumerate(self.pins):
            for name in pin.names:
                found[name.lower()] = (*found.get(name.lower(), ()), place)
        return found

    @cached_property
    def _hashed(self) -> tuple[tuple[int, str], ...]:
        return tuple(
            (place, name)
            for place, pin in enumerate(self.pins)
            for name in pin.names
            if name.startswith(_HASHED)
        )


@dataclass(frozen=True)
class HostKeys:
    """The keys that hosts may present: those that a person has given, and for a host without any
    the one that was trusted on first use, if the spec allows that.
    """

    given: Pins = Pins()
    trusted: Pins = Pins()
    """One line a host, under the host of its service. Other names in a line do not count."""

    @property
    def revoked(self) -> frozenset[PublicKey]:
        return self.given.revoked

    def of(self, host: str, names: Iterable[str], port: int) -> tuple[PublicKey, ...]:
        """`host`: of its service. `names`: all of its names."""
        given = self.given.of(names, port)
        trusted = () if given else self.trusted.of_first(host, port)
        return given or tuple(key for key in trusted if key not in self.revoked)


def trusted_line(host: str, port: int, key: PublicKey) -> str:
    """A line of `HostKeys.trusted`."""
    return f"{spelled(host, port)} {key.line}\n"


def spelled(name: str, port: int) -> str:
    """A name or address as a known_hosts file spells it."""
    return name if port == SSH_PORT else f"[{name}]:{port}"


def read_pins(text: str, what: str) -> Pins:
    """Raises BadKey that names the line at fault; `what` names the file in it."""
    pins: list[Pin] = []
    revoked: set[PublicKey] = set()
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.strip()
        if not line or line.startswith(("#", "@cert-authority")):
            continue
        marker, _, rest = line.partition(" ")
        entry = rest.strip() if marker == "@revoked" else line
        names, _, key = entry.partition(" ")
        try:
            public = read_public(key)
        except (ValueError, binascii.Error) as error:
            raise BadKey(
                f"{what}, line {number}: not a line of a known_hosts file (names type key)"
            ) from error
        if marker == "@revoked":
            revoked.add(public)
        else:
            pins.append(Pin(tuple(names.split(",")), public))
    return Pins(tuple(pins), frozenset(revoked))


def _hides(entry: str, name: str) -> bool:
    """Whether a hashed entry stands for `name`."""
    try:
        salt, digest = entry.removeprefix(_HASHED).split("|")
        # OpenSSH hashes names with HMAC-SHA1: that hides names and protects nothing.
        made = hmac.new(base64.b64decode(salt), name.encode(), hashlib.sha1).digest()
        return hmac.compare_digest(made, base64.b64decode(digest))
    except (ValueError, binascii.Error):
        return False
