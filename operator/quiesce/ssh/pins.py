"""Pinned host keys: a known_hosts file as OpenSSH writes it, and what it says about one host.

Names, addresses, `[name]:port` and hashed names are understood. Host certificates
(`@cert-authority`) are not; a `@revoked` key is refused wherever it shows up.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from quiesce.ssh.errors import BadKey
from quiesce.ssh.keys import PublicKey, read_public

SSH_PORT = 22
_HASHED = "|1|"
_MOST_HASHED = 1000
"""Each is compared with every name of every host, which takes a hash."""
_MOST_REMEMBERED = 32_768
"""Names of which is remembered which hashed ones they are: at most 10 MiB."""
_MOST_NAMES = 50_000
"""In all lines: the shortest take fifty times their length of memory."""


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
        spellings = (spelled(name, port), name)
        found = {place for each in spellings for place in self._by_first_name.get(each, ())}
        return tuple(dict.fromkeys(self.pins[place].key for place in sorted(found)))

    def _matching(self, names: tuple[str, ...]) -> tuple[PublicKey, ...]:
        plain = (place for name in names for place in self._by_name.get(name.lower(), ()))
        hashed = (place for name in names for place in self._hidden(name))
        return tuple(self.pins[place].key for place in sorted({*plain, *hashed}))

    def _hidden(self, name: str) -> Sequence[int]:
        """Places of the lines that hide this name."""
        return _hidden_names.places(self._hashed_digest, name, self._hashed) if self.hashed else ()

    @cached_property
    def hashed(self) -> int:
        """How many names are hashed."""
        return len(self._hashed)

    @cached_property
    def _hashed_digest(self) -> bytes:
        lines = (b"%d|%b|%b\n" % (place, *entry.words) for place, entry in self._hashed)
        return hashlib.sha256(b"".join(lines)).digest()

    @cached_property
    def _by_name(self) -> Mapping[str, Sequence[int]]:
        """Name -> its lines: with hundreds of hosts a search of all lines would be slow."""
        found: dict[str, list[int]] = {}
        for place, pin in enumerate(self.pins):
            for name in {name.lower() for name in pin.names}:
                found.setdefault(name, []).append(place)
        return found

    @cached_property
    def _by_first_name(self) -> Mapping[str, Sequence[int]]:
        found: dict[str, list[int]] = {}
        for place, pin in enumerate(self.pins):
            found.setdefault(pin.names[0], []).append(place)
        return found

    @cached_property
    def _hashed(self) -> Sequence[tuple[int, "_Hashed"]]:
        entries = (
            (place, _Hashed.read(name))
            for place, pin in enumerate(self.pins)
            for name in pin.names
            if name.startswith(_HASHED)
        )
        return [(place, entry) for place, entry in entries if entry is not None]


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
        if not line or line.startswith("#"):
            continue
        try:
            marker, entry = _marker(line)
            if marker == "@cert-authority":
                continue
            names, *key = re.split(r"[ \t]+", entry, maxsplit=1)
            public = read_public("".join(key))
        except (ValueError, binascii.Error) as error:
            raise BadKey(
                f"{what}, line {number}: not a line of a known_hosts file (names type key)"
            ) from error
        if marker == "@revoked":
            revoked.add(public)
        else:
            pins.append(Pin(tuple(names.split(",")), public))
    if sum(len(pin.names) for pin in pins) + len(revoked) > _MOST_NAMES:
        raise BadKey(f"{what} has more than {_MOST_NAMES} names: keep those of the compute hosts")
    if sum(name.startswith(_HASHED) for pin in pins for name in pin.names) > _MOST_HASHED:
        raise BadKey(
            f"{what} has more than {_MOST_HASHED} hashed names: list the hosts by their names, as "
            "ssh-keyscan does"
        )
    return Pins(tuple(pins), frozenset(revoked))


def _marker(line: str) -> tuple[str, str]:
    """The marker, or nothing; and the rest. OpenSSH takes tabs for spaces.

    Raises ValueError for a marker that OpenSSH does not have.
    """
    if not line.startswith("@"):
        return "", line
    marker, *rest = re.split(r"[ \t]+", line, maxsplit=1)
    if marker not in ("@revoked", "@cert-authority"):
        raise ValueError(marker)
    return marker, "".join(rest)


@dataclass(frozen=True, slots=True)
class _Hashed:
    """A name that only shows whether it is a given one."""

    salt: bytes
    digest: bytes

    @classmethod
    def read(cls, entry: str) -> "_Hashed | None":
        try:
            salt, digest = entry.removeprefix(_HASHED).split("|")
            return cls(base64.b64decode(salt), base64.b64decode(digest))
        except (ValueError, binascii.Error):
            return None

    @property
    def words(self) -> tuple[bytes, bytes]:
        return self.salt.hex().encode(), self.digest.hex().encode()

    def hides(self, name: str) -> bool:
        # OpenSSH hashes names with HMAC-SHA1: that hides names and protects nothing.
        return hmac.compare_digest(hmac.digest(self.salt, name.encode(), "sha1"), self.digest)


class _HiddenNames:
    """Which lines hide a name, for as long as the file has the same hashed lines: it is read at
    every tick, and a thousand hashes for each name of each host would take minutes.

    Safe to use from many threads: at worst two compare the same name at the same time.
    """

    def __init__(self, most: int) -> None:
        self._most = most // 2
        self._new: dict[tuple[bytes, str], tuple[int, ...]] = {}
        self._old = self._new

    def places(
        self, digest: bytes, name: str, entries: Sequence[tuple[int, _Hashed]]
    ) -> tuple[int, ...]:
        """`digest`: of the `entries`. Those that were not asked for lately are forgotten."""
        key = (digest, name)
        found = self._new.get(key)
        if found is None:
            found = self._old.get(key)
            if found is None:
                found = tuple(place for place, entry in entries if entry.hides(name))
            if len(self._new) >= self._most:
                self._old, self._new = self._new, {}
            self._new[key] = found
        return found


_hidden_names = _HiddenNames(_MOST_REMEMBERED)
