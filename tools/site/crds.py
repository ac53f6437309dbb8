"""A page for each kind of resource, made of its CRD: every field, its type, default and text."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from tools.site.sources import ROOT

Schema = Mapping[str, Any]


def crds() -> Iterator[Schema]:
    for file in sorted((ROOT / "crds").glob("quiesce.dev_*.yaml")):
        yield yaml.safe_load(file.read_text())


def path_of(crd: Schema) -> str:
    return f"reference/{crd['spec']['names']['singular']}.md"


def page(crd: Schema) -> str:
    names, version = crd["spec"]["names"], crd["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    short = ", ".join(f"`{name}`" for name in names.get("shortNames", ()))
    lines = [
        f"# {names['kind']}",
        "",
        f"`apiVersion: {crd['spec']['group']}/{version['name']}`, short name {short}. Every field, "
        f"as in `kubectl explain {names['shortNames'][0]} --recursive`.",
        "",
        plain(schema["description"]),
        "",
        *_columns(version["additionalPrinterColumns"]),
    ]
    for name in ("spec", "status"):
        lines += _object(name, schema["properties"][name])
    return "\n".join(lines)


def _columns(columns: list[Schema]) -> Iterator[str]:
    yield from ("## Columns of `kubectl get`", "")
    for column in columns:
        wide = ", with `-o wide`" if column.get("priority") else ""
        yield from (f"`{column['name'].upper()}`{wide}", "")
        yield from (f":   {plain(column.get('description', 'Time since it was created.'))}", "")


def _object(path: str, schema: Schema) -> Iterator[str]:
    """A section for it, its fields, and after it one for each object among them."""
    yield from (f"## `{path}` {{ #{path} }}", "")
    if "description" in schema:
        yield from (plain(schema["description"]), "")
    fields = schema.get("properties", {})
    for name, field in fields.items():
        yield from _field(path, name, field, name in schema.get("required", ()))
    yield from _rules(schema)
    for name, field in fields.items():
        if whole := _with_fields(field):
            yield from _object(f"{path}.{name}", whole)


def _field(path: str, name: str, field: Schema, required: bool) -> Iterator[str]:
    said = [kind(field), *(["required"] if required else [])]
    if "enum" in field:
        said.append("one of " + ", ".join(f"`{value}`" for value in field["enum"]))
    if field.get("default") not in (None, {}, []):
        said.append(f"default `{field['default']}`".replace("`True`", "`true`"))
    for least, word in (("minimum", "at least"), ("maximum", "at most")):
        if least in field:
            said.append(f"{word} {field[least]}")
    yield from (f"`{name}` <small>{' · '.join(said)}</small>".replace("`False`", "`false`"), "")
    if _with_fields(field):
        yield from (f":   See [{path}.{name}](#{path}.{name}).", "")
    else:
        text = plain(field.get("description", "")).replace("\n", "\n    ")
        yield from (f":   {text}", "")
        yield from _rules(field, "    ")


def _with_fields(field: Schema) -> Schema | None:
    """The object that a field holds, or holds many of."""
    if field.get("properties"):
        return field
    items = field.get("items", {})
    return field | items if items.get("properties") else None


def _rules(schema: Schema, indent: str = "") -> Iterator[str]:
    """What the API server says where a rule is broken."""
    for rule in schema.get("x-kubernetes-validations", ()):
        if "message" in rule:
            yield from (f"{indent}* {plain(rule['message'])}.", "")


def kind(field: Schema) -> str:
    if field.get("x-kubernetes-int-or-string"):
        return "integer or string"
    if field.get("type") == "array":
        return f"list of {kind(field['items'])}s"
    return str(field.get("format") or field.get("type", "any"))


def plain(text: str) -> str:
    """Text that is no Markdown, as Markdown that shows it."""
    return re.sub(r"([\\`*_{}\[\]<>#|])", r"\\\1", text.strip())
