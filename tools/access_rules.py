"""Writes manifests/openstack/access-rules.json, and the table of requests in docs/credentials.md.

    PYTHONPATH=operator python -m tools.access_rules

Their one source is operator/quiesce/openstack/routes.py. The table stands between two comments;
everything else on the page is left alone.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from quiesce.openstack.access_rules import rule_for
from quiesce.openstack.catalog import Catalog
from quiesce.openstack.routes import ROUTES, Route

ROOT = Path(__file__).parents[1]
RULES = ROOT / "manifests" / "openstack" / "access-rules.json"
PAGE = ROOT / "docs" / "credentials.md"
_MARKED = re.compile(r"(?<=<!-- requests -->\n).*?(?=<!-- end of requests -->)", re.DOTALL)

# What a cloud has in its catalog: a type, and the path of requests before that of the table.
PLACES: dict[Catalog, tuple[tuple[str, str], ...]] = {
    "compute": (("compute", "/v2.1"),),
    "placement": (("placement", ""),),
    "network": (("network", "/v2.0"),),
    "block_storage": (("block-storage", "/v3"), ("volumev3", "/v3/*")),
    "image": (("image", "/v2"),),
}
_NAMES: dict[Catalog, str] = {
    "compute": "Nova",
    "placement": "Placement",
    "network": "Neutron",
    "block_storage": "Cinder",
    "image": "Glance",
}


def access_rules() -> list[dict[str, str]]:
    """As `openstack application credential create --access-rules` takes them, each once."""
    every = (
        rule_for(each, service, f"https://cloud{base}")
        for each in ROUTES
        for service, base in PLACES[each.service]
    )
    return [dict(rule) for rule in dict.fromkeys(tuple(rule.items()) for rule in every)]


def document() -> str:
    """One rule a line."""
    lines = ",\n".join(f"  {json.dumps(rule)}" for rule in access_rules())
    return f"[\n{lines}\n]\n"


def table() -> str:
    """As Markdown."""
    head = "| service | request | without it the operator cannot | policies |\n|---|---|---|---|"
    return "\n".join([head, *map(_row, ROUTES)])


def _row(each: Route) -> str:
    policies = ", ".join(f"`{policy}`" for policy in _shortened(each))
    call = f"`{each.method} {each.path}`"
    return f"| {_NAMES[each.service]} | {call} | {each.purpose} | {policies} |"


def _shortened(each: Route) -> Iterator[str]:
    for policy in each.policies:
        yield policy.removeprefix("os_compute_api:").removeprefix("placement:")


def with_table(page: str) -> str:
    """The text of a page with its table made again."""
    return _MARKED.sub(lambda _: f"\n{table()}\n\n", page)


def main() -> None:
    RULES.write_text(document())
    PAGE.write_text(with_table(PAGE.read_text()))


if __name__ == "__main__":
    main()
