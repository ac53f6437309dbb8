"""The few words of kubectl that the tour uses, for a machine without kubectl. No more than that.

python -m tests.tour.kubectl get cnd -n quiesce-tour --watch
"""

import argparse
import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

Json = dict[str, Any]
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
MERGE = "application/merge-patch+json"
_PARTS = re.compile(r"\{[^}]*\}|[^{]+")  # of a template


class Api:
    def __init__(self) -> None:
        config = json.loads(Path(os.environ["KUBECONFIG"]).read_text())
        self.server = config["clusters"][0]["cluster"]["server"]

    def ask(
        self, method: str, path: str, body: Json | None = None, accept: str = "application/json"
    ) -> Any:
        """The open answer. Raises HTTPError."""
        request = urllib.request.Request(
            self.server + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Accept": accept, "Content-Type": MERGE},
            method=method,
        )
        return urllib.request.urlopen(request)

    def read(self, method: str, path: str, body: Json | None = None) -> Json:
        found: Json = json.load(self.ask(method, path, body))
        return found

    def path(self, what: str, namespace: str | None) -> tuple[str, str]:
        """-> (path, name of the resource for messages), of `cnd`, `cnd/x` or `kind.group`."""
        word, _, name = what.partition("/")
        for base in self._bases():
            for row in self.read("GET", base)["resources"]:
                names = (row["name"], row["singularName"], *row.get("shortNames", ()))
                group = base.split("/")[2] if base.startswith("/apis") else ""
                if "/" in row["name"] or word not in (*names, f"{row['name']}.{group}"):
                    continue
                where = f"/namespaces/{namespace}" if row["namespaced"] and namespace else ""
                title = f"{row['singularName']}.{group}".rstrip(".")
                return f"{base}{where}/{row['name']}" + (f"/{name}" if name else ""), title
        sys.exit(f"error: the server doesn't have a resource type {word!r}")

    def _bases(self) -> Iterator[str]:
        yield "/api/v1"
        for group in self.read("GET", "/apis")["groups"]:
            yield f"/apis/{group['preferredVersion']['groupVersion']}"


def apply(api: Api, documents: Iterable[Json], namespace: str | None) -> None:
    for document in documents:
        metadata = document["metadata"]
        kind, version = document["kind"].lower(), document["apiVersion"]
        group = version.rpartition("/")[0]
        where = metadata.get("namespace", namespace)
        path, title = api.path(f"{kind}s.{group}" if group else kind, where)
        name = metadata["name"]
        try:
            api.read("POST", path, document)
            print(f"{title}/{name} created")
        except urllib.error.HTTPError as error:
            if error.code != 409:
                raise
            api.read("PATCH", f"{path}/{name}", document)
            print(f"{title}/{name} configured")


def get(api: Api, flags: argparse.Namespace) -> None:
    path, _ = api.path(flags.what[0], None if flags.all else flags.namespace)
    if flags.watch:
        watch(api, path, flags)
    elif flags.output:
        found = api.read("GET", path)
        template = flags.output.removeprefix("jsonpath=")
        if template != flags.output:
            print(jsonpath(template, found), end="")
        else:
            print(json.dumps(found) if flags.output == "json" else yaml.safe_dump(found))
    else:
        print_rows(json.load(api.ask("GET", path, accept=TABLE)), heading=True)


def jsonpath(template: str, value: Any) -> str:
    """Texts, `{.a.b}`, `{@}`, and `{range .a[*]}…{end}`."""
    return _rendered(iter(_PARTS.findall(template)), value)


def _rendered(parts: Iterator[str], value: Any) -> str:
    text = ""
    for part in parts:
        if part == "{end}":
            break
        if part.startswith("{range "):
            body = list(_until_end(parts))
            items = _at(value, part[len("{range ") : -len("[*]}")]) or ()
            text += "".join(_rendered(iter(body), item) for item in items)
        elif part.startswith('{"'):
            text += json.loads(part[1:-1])
        else:
            text += str(_at(value, part[1:-1])) if part.startswith("{") else part
    return text


def _until_end(parts: Iterator[str]) -> Iterator[str]:
    depth = 1
    for part in parts:
        depth += part.startswith("{range ") - (part == "{end}")
        if not depth:
            return
        yield part


def _at(value: Any, path: str) -> Any:
    for name in path.strip("@").split("."):
        value = value.get(name) if name and value is not None else value
    return value


def watch(api: Api, path: str, flags: argparse.Namespace) -> None:
    columns = (flags.output or "").removeprefix("custom-columns=")
    first = True
    for line in api.ask("GET", f"{path}?watch=true", accept=(columns and "*/*") or TABLE):
        thing = json.loads(line)["object"]
        if columns:
            fields = [column.partition(":.")[2] for column in columns.split(",")]
            print("   ".join(str(thing.get(field, "<none>")) for field in fields), flush=True)
        else:
            print_rows(thing, heading=first)
            first = False


def print_rows(table: Json, heading: bool) -> None:
    shown = [n for n, column in enumerate(table["columnDefinitions"]) if not column["priority"]]
    rows = [[row["cells"][n] for n in shown] for row in table["rows"]]
    names = [table["columnDefinitions"][n]["name"].upper() for n in shown]
    for row in [names, *rows] if heading else rows:
        cells = ("" if cell is None else str(cell) for cell in row)
        print("".join(f"{cell:<11}" for cell in cells).rstrip(), flush=True)


def delete(api: Api, flags: argparse.Namespace) -> None:
    """Waits until it is gone, as kubectl does."""
    path, title = api.path(flags.what[0], flags.namespace)
    if len(flags.what) > 1:
        path = f"{path}/{flags.what[1]}"
    deadline = time.monotonic() + float((flags.timeout or "60s").removesuffix("s"))
    try:
        api.read("DELETE", path)
        while time.monotonic() < deadline:
            api.read("GET", path)
            time.sleep(0.2)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            print(f'{title} "{path.rpartition("/")[2]}" deleted')
            return
        raise
    sys.exit("error: timed out waiting for the condition")


def wait(api: Api, flags: argparse.Namespace) -> None:
    path, title = api.path(flags.what[0], flags.namespace)
    wanted = flags.condition.removeprefix("condition=")
    deadline = time.monotonic() + float((flags.timeout or "30s").removesuffix("s"))
    while time.monotonic() < deadline:
        conditions = api.read("GET", path).get("status", {}).get("conditions", ())
        if any(each["type"] == wanted and each["status"] == "True" for each in conditions):
            print(f"{title}/{path.rpartition('/')[2]} condition met")
            return
        time.sleep(0.2)
    sys.exit("error: timed out waiting for the condition")


def parsed(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="kubectl", allow_abbrev=False)
    parser.add_argument("verb", choices=("apply", "delete", "get", "patch", "wait"))
    parser.add_argument("what", nargs="*")
    parser.add_argument("-n", "--namespace")
    parser.add_argument("-A", dest="all", action="store_true")
    parser.add_argument("-f", dest="file")
    parser.add_argument("-o", dest="output")
    parser.add_argument("-p", dest="patch")
    parser.add_argument("--type", choices=("merge",))
    parser.add_argument("--for", dest="condition")
    parser.add_argument("--timeout")
    parser.add_argument("--watch", action="store_true")
    parser.add_argument("--no-headers", action="store_true")
    return parser.parse_intermixed_args(words)


def main(words: list[str]) -> None:
    flags, api = parsed(words), Api()
    try:
        if flags.verb == "apply":
            apply(api, yaml.safe_load_all(sys.stdin), flags.namespace)
        elif flags.verb == "patch":
            path, title = api.path(flags.what[0], flags.namespace)
            api.read("PATCH", path, json.loads(flags.patch))
            print(f"{title}/{path.rpartition('/')[2]} patched")
        else:
            {"get": get, "delete": delete, "wait": wait}[flags.verb](api, flags)
    except urllib.error.HTTPError as error:
        sys.exit(f"Error from server: {json.load(error)['message']}")


if __name__ == "__main__":
    main(sys.argv[1:])
