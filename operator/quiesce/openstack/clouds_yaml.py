"""PURE. One cloud of a clouds.yaml, by a list of what Quiesce uses: everything else is refused.

Anyone who may create a Secret writes this file, so nothing in it selects code, a file, another
address than the ones that are shown here, or more work than its size. Values are taken as they
are: no template is filled in, and a password may consist of any characters.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NoReturn

import yaml

from quiesce.api.outside import cleaned
from quiesce.openstack.addresses import address_fault

LONGEST_TIMEOUT = 30.0
"""Seconds: a request that takes longer proves nothing."""
_MOST_BYTES = 64 * 1024
_DEEPEST, _MOST_NODES, _LONGEST_VALUE = 8, 4000, 8192
_NULL, _TRUE, _FALSE = ("", "~", "null"), ("true", "yes", "on"), ("false", "no", "off")


class Method(StrEnum):
    """How Keystone is asked for a token (its API v3)."""

    PASSWORD = "password"  # noqa: S105 -- the name of a method
    TOKEN = "token"  # noqa: S105
    APPLICATION_CREDENTIAL = "application credential"


class Unusable(Exception):
    """The text says what is wrong, and what to change. It contains no value of the file."""


@dataclass(frozen=True, slots=True)
class CloudEntry:
    """`auth`: keyword arguments of keystoneauth's plugin for `method`, but `auth_url`.

    `overrides`: service -> the address to use instead of the catalog's. `timeout`: seconds of one
    request, at most LONGEST_TIMEOUT.
    """

    method: Method
    auth_url: str
    auth: Mapping[str, str] = field(repr=False)
    region: str | None = None
    interface: str = "public"
    verify: bool = True
    timeout: float = LONGEST_TIMEOUT
    overrides: Mapping[str, str] = field(default_factory=dict)


_METHODS = {
    "password": Method.PASSWORD,
    "v3password": Method.PASSWORD,
    "token": Method.TOKEN,
    "v3token": Method.TOKEN,
    "v3applicationcredential": Method.APPLICATION_CREDENTIAL,
}
_SCOPE = (
    "project_id",
    "project_name",
    "project_domain_id",
    "project_domain_name",
    "domain_id",
    "domain_name",
    "system_scope",
    "trust_id",
)
_USER = ("username", "user_id", "user_domain_id", "user_domain_name")
_OF_METHOD = {
    Method.PASSWORD: (*_USER, "password", *_SCOPE),
    Method.TOKEN: ("token", *_SCOPE),
    Method.APPLICATION_CREDENTIAL: (
        *_USER,
        "application_credential_id",
        "application_credential_name",
        "application_credential_secret",
    ),
}
_NEEDED = {
    Method.PASSWORD: (("username", "user_id"), ("password",)),
    Method.TOKEN: (("token",),),
    Method.APPLICATION_CREDENTIAL: (
        ("application_credential_id", "application_credential_name"),
        ("application_credential_secret",),
    ),
}
_OLD_NAMES = {"tenant_id": "project_id", "tenant_name": "project_name", "user_name": "username"}
_DEFAULT_DOMAINS = ("default_domain_id", "default_domain_name")
_INTERFACES = ("public", "internal", "admin")
_SERVICES = {  # as in the key of an override -> as Quiesce calls the service
    "compute": "compute",
    "placement": "placement",
    "network": "network",
    "image": "image",
    "block_storage": "block_storage",
    "volumev3": "block_storage",
    "volume": "block_storage",
}
_SURROGATE = re.compile("[\ud800-\udfff]")
_VERSION_KEY = re.compile(r"[a-z][a-z0-9_]{0,40}_api_version")
_OVERRIDE_KEY = re.compile(r"([a-z][a-z0-9_]{0,40})_endpoint_override")


def read_cloud(text: bytes, name: str) -> CloudEntry:
    """The cloud `name` of the file. Raises Unusable."""
    document = _load(text)
    clouds = document.get("clouds") if isinstance(document, dict) else None
    if not isinstance(clouds, dict) or not isinstance(clouds.get(name), dict):
        raise Unusable(
            f"clouds.yaml has no cloud named {cleaned(name, 60)!r}: add it, or name another one "
            "in spec.cloudCredentialsRef.cloudName"
        )
    return read_entry(clouds[name])


def read_entry(entry: Mapping[str, Any]) -> CloudEntry:
    """From the values of one cloud, all of them texts, None, lists or mappings of such.

    Raises Unusable that names the key at fault.
    """
    given = {_key(key): value for key, value in entry.items() if value is not None}
    auth = given.pop("auth", None)
    if not isinstance(auth, dict):
        raise Unusable("clouds.yaml: the cloud has no `auth` section: add one with an auth_url")
    kind = _text("auth_type", given.pop("auth_type", "password"))
    if kind not in _METHODS:
        raise Unusable(
            f"clouds.yaml: auth_type {_shown(kind)} is not supported: use {', '.join(_METHODS)}"
        )
    auth_url, credentials = _auth(_METHODS[kind], kind, auth)
    return CloudEntry(_METHODS[kind], auth_url, credentials, **_options(given))


def is_used(key: str) -> bool:
    """Whether a key of a cloud's entry is one that Quiesce knows: for who makes such an entry."""
    name = _key(key)
    return (
        name in ("auth", "auth_type", *_OPTIONS)
        or _VERSION_KEY.fullmatch(name) is not None
        or _OVERRIDE_KEY.fullmatch(name) is not None
    )


# The sections


def _auth(method: Method, kind: str, section: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    given = {
        _OLD_NAMES.get(_key(key), _key(key)): _text(f"auth.{_key(key)}", value)
        for key, value in section.items()
        if value is not None
    }
    if "auth_url" not in given:
        raise Unusable("clouds.yaml: auth.auth_url is missing: add the address of Keystone")
    auth_url = _address("auth.auth_url", given.pop("auth_url"))
    default = {key: given.pop(key) for key in _DEFAULT_DOMAINS if key in given}
    for key in given:
        if key not in _OF_METHOD[method]:
            raise Unusable(
                f"clouds.yaml: auth.{_shown(key)} is not used with auth_type {kind}: remove it, "
                "or set the auth_type that it belongs to"
            )
    for choice in _NEEDED[method]:
        if not any(given.get(key) for key in choice):
            raise Unusable(f"clouds.yaml: auth.{choice[0]} is missing: auth_type {kind} needs it")
    return auth_url, _with_domains(method, given, default)


def _with_domains(
    method: Method, given: dict[str, str], default: Mapping[str, str]
) -> dict[str, str]:
    """A default domain, and the domain beside a project, are those of the user and the project, as
    other OpenStack clients take them.
    """
    parts = [("user", ("username",)), ("project", ("project_name",))]
    of_project = "project_id" in given or "project_name" in given
    for part, names in parts:
        if part == "user" and method is Method.TOKEN:
            continue
        if any(name in given for name in names) and not any(
            f"{part}_domain_{of}" in given for of in ("id", "name")
        ):
            for of in ("id", "name"):
                plain = given.get(f"domain_{of}") if of_project else None
                if domain := plain or default.get(f"default_domain_{of}"):
                    given[f"{part}_domain_{of}"] = domain
                    break
    if of_project:
        given = {key: value for key, value in given.items() if not key.startswith("domain_")}
    return given


_OPTIONS = (
    "region_name",
    "interface",
    "endpoint_type",
    "verify",
    "api_timeout",
    "identity_api_version",
)


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    overrides: dict[str, str] = {}
    for key, value in given.items():
        if key == "region_name":
            found["region"] = _text(key, value)
        elif key in ("interface", "endpoint_type"):
            found["interface"] = _interface(key, value)
        elif key == "verify":
            found["verify"] = _truth(key, value)
        elif key == "api_timeout":
            found["timeout"] = _seconds(key, value)
        elif _VERSION_KEY.fullmatch(key):
            _version(key, value)
        elif override := _OVERRIDE_KEY.fullmatch(key):
            address = _address(key, _text(key, value))
            if override[1] in _SERVICES:
                overrides[_SERVICES[override[1]]] = address
        else:
            _refuse(key)
    return {**found, "overrides": overrides}


def _refuse(key: str) -> NoReturn:
    if key in ("cacert", "ca_file"):
        raise Unusable(
            "clouds.yaml: cacert is a file, which the operator does not read: remove it, and put "
            "the certificates themselves under the Secret's key cacert"
        )
    if key in (*_SCOPE, *_USER, "password", "auth_url", "token", *_OLD_NAMES):
        raise Unusable(f"clouds.yaml: {key} is outside of `auth`: move it there")
    raise Unusable(
        f"clouds.yaml: the cloud has the key {_shown(key)}, which is not supported: remove it "
        "(docs/install.md lists the keys that are)"
    )


# Values


def _key(key: str) -> str:
    return key.replace("-", "_")


def _shown(text: str) -> str:
    return repr(cleaned(text, 40))


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise Unusable(f"clouds.yaml: {_named(key)} is not a text: correct it")
    if len(value) > _LONGEST_VALUE:
        raise Unusable(f"clouds.yaml: {_named(key)} is longer than {_LONGEST_VALUE} characters")
    return value


def _named(key: str) -> str:
    return cleaned(key, 40)


def _address(key: str, value: str) -> str:
    if fault := address_fault(value):
        raise Unusable(f"clouds.yaml: {_named(key)} {fault}")
    return value


def _interface(key: str, value: Any) -> str:
    plain = _text(key, value).removesuffix("URL")
    if plain not in _INTERFACES:
        raise Unusable(f"clouds.yaml: {key} is not one of {', '.join(_INTERFACES)}")
    return plain


def _truth(key: str, value: Any) -> bool:
    word = _text(key, value).lower()
    if word not in (*_TRUE, *_FALSE):
        raise Unusable(f"clouds.yaml: {key} is neither true nor false")
    return word in _TRUE


def _seconds(key: str, value: Any) -> float:
    text = _text(key, value)
    if not re.fullmatch(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", text, re.ASCII) or not float(text):
        raise Unusable(f"clouds.yaml: {key} is not a number of seconds above 0")
    return min(float(text), LONGEST_TIMEOUT)


def _version(key: str, value: Any) -> None:
    """Quiesce uses one version of each API; what is set must not ask for another of Keystone's."""
    found = re.fullmatch(r"v?([0-9]{1,3})(?:\.[0-9]{1,4}|\.latest)?", _text(key, value), re.ASCII)
    if not found:
        raise Unusable(f"clouds.yaml: {_named(key)} is not a version such as 3 or 2.1")
    if key == "identity_api_version" and found[1] != "3":
        raise Unusable("clouds.yaml: identity_api_version is not 3, which Quiesce needs: remove it")


# YAML


def _load(data: bytes) -> Any:
    """Texts, None, lists and mappings. Raises Unusable."""
    if len(data) > _MOST_BYTES:
        raise Unusable(f"clouds.yaml is larger than {_MOST_BYTES // 1024} KiB: shorten it")
    try:
        events = yaml.parse(data.decode("utf-8-sig"), Loader=yaml.SafeLoader)
        return _Tree(events).document()
    except UnicodeDecodeError as error:
        raise Unusable("clouds.yaml is not valid YAML: it is not UTF-8 text") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f" at line {mark.line + 1}" if mark else ""
        raise Unusable(f"clouds.yaml is not valid YAML{at}: correct it") from error
    except (ValueError, OverflowError) as error:  # PyYAML's own, of numbers in escapes
        raise Unusable("clouds.yaml is not valid YAML: correct it") from error


class _Tree:
    """From the events of YAML's parser. What makes a small file large is refused: aliases; and so
    is what gives a value another type: tags.
    """

    def __init__(self, events: Iterator[yaml.Event]) -> None:
        self._events = events
        self._nodes = 0

    def document(self) -> Any:
        """Of the only one; None of an empty file."""
        found = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1 or event.tags:
                    _fail(event, "several documents or a directive: keep one, without '%' lines")
                found = self._node(next(self._events), 1)
        return found

    def _node(self, event: yaml.Event, depth: int) -> Any:
        self._check(event, depth)
        if isinstance(event, yaml.ScalarEvent):
            if not event.value.isascii() and _SURROGATE.search(event.value):
                _fail(event, "an escape that is no character: write the character itself")
            plain = event.style is None and event.value.lower() in _NULL
            return None if plain else event.value
        if isinstance(event, yaml.SequenceStartEvent):
            found = []
            while not isinstance(item := next(self._events), yaml.SequenceEndEvent):
                found.append(self._node(item, depth + 1))
            return found
        return self._mapping(depth)

    def _mapping(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            self._check(event, depth + 1)
            if not isinstance(event, yaml.ScalarEvent):
                _fail(event, "a key that is not a text: write a name before each ':'")
            if event.style is None and event.value == "<<":
                _fail(event, "a merge key '<<': write the values out")
            if event.value in found:
                _fail(event, "the same key twice: remove one")
            found[event.value] = self._node(next(self._events), depth + 1)
        return found

    def _check(self, event: yaml.Event, depth: int) -> None:
        self._nodes += 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            _fail(event, "an anchor '&' or an alias '*': write the values out")
        if getattr(event, "tag", None):
            _fail(event, "a tag '!': remove it")
        if depth > _DEEPEST or self._nodes > _MOST_NODES:
            _fail(event, "more levels or values than a clouds.yaml needs: shorten it")


def _fail(event: yaml.Event, what: str) -> NoReturn:
    line = event.start_mark.line + 1 if event.start_mark else 0
    raise Unusable(f"clouds.yaml has, at line {line}, {what}")
