"""The table of requests is what the code asks for: no more, no less."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from quiesce.openstack import cloud as cloud_module
from quiesce.openstack.routes import ROUTES, find_route

FOLDER = Path(cloud_module.__file__).parent
Call = tuple[str, str, str]


def test_it_has_every_request_of_the_code_and_no_other() -> None:
    asked = {call for file in sorted(FOLDER.glob("*.py")) for call in calls_in(file)}
    assert asked == {(each.service, each.method, each.path) for each in ROUTES}


def test_a_request_is_found_whatever_its_ids_are() -> None:
    found = find_route("compute", "DELETE", "/servers/6f0c/migrations/12")
    assert found
    assert found.path == "/servers/{id}/migrations/{id}"
    assert find_route("compute", "DELETE", "/servers/6f0c") is None
    assert find_route("network", "GET", "/servers/detail") is None


def calls_in(file: Path) -> Iterator[Call]:
    """Of `self._api.get` and the like: service, method, and path with `{id}` for what is not
    written down.
    """
    for function in ast.walk(ast.parse(file.read_text())):
        if not isinstance(function, ast.FunctionDef):
            continue
        names = {
            target.id: node.value
            for node in ast.walk(function)
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(function):
            match node:
                case ast.Call(ast.Attribute(of, how)) if ast.unparse(of) == "self._api":
                    yield call_of(how, node, names)


def call_of(how: str, node: ast.Call, names: dict[str, ast.expr]) -> Call:
    match how:
        case "pages":
            service, method, path = "compute", "GET", node.args[0]
        case "write":
            service, method = (ast.literal_eval(each) for each in node.args[:2])
            path = node.args[2]
        case "get" | "ask":
            service, method, path = ast.literal_eval(node.args[0]), "GET", node.args[1]
        case other:
            pytest.fail(f"another way to send a request: {other}")
    return service, method, written(path, names)


def written(path: ast.expr, names: dict[str, ast.expr]) -> str:
    if isinstance(path, ast.Name):
        return written(names[path.id], names)
    if isinstance(path, ast.Constant):
        return str(path.value)
    assert isinstance(path, ast.Call), ast.unparse(path)
    assert ast.unparse(path.func) == "path"
    parts = (str(p.value) if isinstance(p, ast.Constant) else "{id}" for p in path.args)
    return "/" + "/".join(parts)
