"""PURE. Why a service rejects a token that Keystone has just given: the access rules of an
application credential.

keystonemiddleware answers a request that no access rule allows like one with a wrong token: with
401, and without the reason (keystonemiddleware 13.0.1, auth_token/__init__.py
validate_allowed_request). The rules are in the token's document, so that they can be compared here.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from quiesce.api.outside import cleaned
from quiesce.openstack.routes import ROUTES, Route

_LONGEST_PATH = 225  # of a rule: keystone/application_credential/schema.py
_MOST_RULES = 200  # that are compared
_WILDCARDS = re.compile(r"\{[^}]*\}|\*\*|\*|.", re.DOTALL)

Rules = Sequence[object]


def rule_for(known: Route, service_type: str, base: str) -> dict[str, str]:
    """The access rule that allows a route: that of a wider one, as `/servers/*` for
    `/servers/detail`, so that there is one rule for both. `base`: the address that its path is
    added to.
    """
    alike = (each for each in ROUTES if each != known and each.service == known.service)
    wider = (
        each.path
        for each in alike
        if each.method == known.method and _matches(each.path, known.path)
    )
    path = f"{urlsplit(base).path}{next(wider, known.path)}".replace("{id}", "*")
    return {"service": service_type, "method": known.method, "path": path}


def why_rejected(known: Route, rule: Mapping[str, str], url: str, rules: Rules) -> str:
    """What a person has to change. `rule`: that for the route; `rules`: the credential's own."""
    service, method, path = rule["service"], rule["method"], urlsplit(url).path
    asked = f"{method} {known.path} of the {service} service (HTTP 401)"
    if any(allows(own, service, method, path) for own in rules[:_MOST_RULES]):
        return (
            f"an access rule of the application credential allows {asked}, and the service "
            f"rejects it all the same: set service_type = {service} in [keystone_authtoken] of its "
            "configuration"
        )
    return (
        f"the application credential has no access rule for {asked}, which is needed to "
        f"{known.purpose}. Create a new one with this rule as well, and store it in the Secret: "
        f"{cleaned(json.dumps(rule), 400)}"
    )


def allows(rule: object, service: str, method: str, path: str) -> bool:
    """Whether a rule of a credential is one for this request."""
    if not isinstance(rule, Mapping):
        return False
    pattern = rule.get("path")
    if rule.get("service") != service or rule.get("method") != method:
        return False
    return isinstance(pattern, str) and len(pattern) <= _LONGEST_PATH and _matches(pattern, path)


def _matches(pattern: str, path: str) -> bool:
    """`*` and `{name}`: one part of a path; `**`: any text (auth_token/__init__.py _path_matches).

    Takes time in proportion to both lengths, whatever the pattern is: no backtracking.
    """
    steps = list(_steps(pattern))
    places = _skipped({0}, steps)
    for character in path:
        after = set()
        for place in places:
            wanted, repeats = steps[place] if place < len(steps) else ("", False)
            if wanted in (character, "**") or (wanted == "*" and character != "/"):
                after.add(place if repeats else place + 1)
        places = _skipped(after, steps)
    return len(steps) in places


def _steps(pattern: str) -> Iterator[tuple[str, bool]]:
    """(a character, `*`: any but a slash, `**`: any; whether it may come any number of times)."""
    for piece in _WILDCARDS.findall(pattern):
        if piece == "**":
            yield "**", True
        elif piece == "*" or len(piece) > 1:
            yield "*", False
            yield "*", True
        else:
            yield piece, False


def _skipped(places: set[int], steps: Sequence[tuple[str, bool]]) -> set[int]:
    """With the places that are reached without a character."""
    found = set(places)
    for place in places:
        while place < len(steps) and steps[place][1]:
            place += 1
            found.add(place)
    return found
