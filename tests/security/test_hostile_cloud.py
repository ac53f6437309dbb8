"""A cloud that hangs, drips, floods, redirects or lies: its drain waits, and nothing else happens.

Against the code that talks to a real cloud, over HTTP. A test that ends has passed: the cloud
would go on forever.
"""

import gzip
import itertools
import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from quiesce.api.errors import BadCredentials, CloudTooOld, CloudUnreachable, NotAllowed, Problem
from quiesce.kube.secrets import Secret
from quiesce.openstack import transport
from quiesce.openstack.budget import budget
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.errors import NotFound, Refused, Unknown
from quiesce.openstack.session import Clouds
from quiesce.openstack.transport import LIST
from quiesce.ops import metrics
from tests.security import hostile_cloud as hostile
from tests.security.hostile_cloud import Connection, HostileCloud, Reply, answer

pytestmark = pytest.mark.timeout(120)

TOKENS, VERSION, SERVICES = "/v3/auth/tokens", "/v2.1/", "/v2.1/os-services"
LONG, SHORT = 30.0, 1.0  # seconds of one request: to a cloud that answers, and to one that does not


def connect(there: HostileCloud, timeout: float = LONG, **entry: Any) -> Cloud:
    return Clouds(timeout).get(there.secret(**entry), "openstack")


SLOW = [hostile.says_nothing, hostile.drips_its_head, hostile.drips_its_body]
ENDLESS = [
    hostile.goes_on,
    hostile.floods_its_head,
    hostile.floods_its_body,
    hostile.floods_in_chunks,
]
BROKEN = [
    hostile.is_no_http,
    hostile.breaks_off,
    answer(b"{", 200),
    answer(b"\xff\xfe{}", 200),
    answer(b"[" * 100_000, 200),
    answer(b"[" + b"{}," * 300_000 + b"{}]", 200),
    answer(b"1" * 10_000, 200),
    answer(b"null", 200),
    answer(b"[]", 200),
    answer(b'"x"', 200),
    answer(gzip.compress(b" " * 10_000_000), 200, "Content-Encoding: gzip"),
    answer(b"{}", 200, "Content-Encoding: gzip"),
]


def name_of(reply: object) -> str | None:
    return getattr(reply, "__name__", None)


@pytest.mark.finding("H4")
@pytest.mark.promise("never-11")
@pytest.mark.parametrize("where", [TOKENS, VERSION, SERVICES])
@pytest.mark.parametrize("reply", [*SLOW, *ENDLESS, *BROKEN], ids=name_of)
def test_every_request_ends_and_proves_nothing(where: str, reply: Reply) -> None:
    with HostileCloud({where: reply}) as there:
        with pytest.raises(CloudUnreachable) as found:
            connect(there, SHORT if reply in SLOW else LONG).services()
        assert str(found.value).isprintable()
        assert len(str(found.value)) < 1000
        assert max(each.sent for each in there.connections) < LIST.size + 2**23


@pytest.mark.finding("H4")
def test_the_renewal_of_a_token_ends_as_well() -> None:
    first = threading.Event()

    def once(connection: Connection) -> None:
        if first.is_set():
            hostile.says_nothing(connection)
        first.set()
        answer(connection.cloud.token(), 201, "X-Subject-Token: t")(connection)

    with HostileCloud({TOKENS: once, SERVICES: answer({}, 401)}) as there:
        cloud = connect(there)
        with budget(SHORT), pytest.raises(CloudUnreachable):
            cloud.services()


@pytest.mark.finding("H4")
@pytest.mark.promise("never-11")
def test_what_a_reconciliation_asks_for_ends_together() -> None:
    """Each request is answered in time, and the list of pages would never end."""
    numbers = itertools.count()

    def page(connection: Connection) -> None:
        connection.wait(0.05)
        row = {"id": f"s{next(numbers)}", "status": "ACTIVE", "OS-EXT-SRV-ATTR:host": "cmp1"}
        answer({"servers": [row], "servers_links": [{}]})(connection)

    with HostileCloud({"/v2.1/servers/detail": page}) as there:
        cloud = connect(there)
        with budget(0.5), pytest.raises(CloudUnreachable):
            cloud.servers_on("cmp1")
        before = len(there.requests)
        with pytest.raises(CloudUnreachable, match="used up"), budget(0):
            cloud.services()
        assert len(there.requests) == before, "nothing is asked once the time is used up"


@pytest.mark.finding("H4")
@pytest.mark.parametrize("same", [True, False])
def test_pages_without_end_are_given_up(same: bool) -> None:
    numbers = itertools.count()

    def page(connection: Connection) -> None:
        name = "s1" if same else f"s{next(numbers)}"
        row = {"id": name, "status": "ACTIVE", "OS-EXT-SRV-ATTR:host": "cmp1"}
        answer({"servers": [row], "servers_links": [{}]})(connection)

    with HostileCloud({"/v2.1/servers/detail": page}) as there:
        with pytest.raises(CloudUnreachable, match="GET /servers/detail"):
            connect(there).servers_on("cmp1")
        assert len(there.requests) <= 103


@pytest.mark.finding("H4")
def test_more_rows_than_were_asked_for_are_no_page() -> None:
    row = {"id": "s1", "status": "ACTIVE", "OS-EXT-SRV-ATTR:host": "cmp1"}
    many = answer({"servers": [row] * 1001})
    with (
        HostileCloud({"/v2.1/servers/detail": many}) as there,
        pytest.raises(CloudUnreachable, match="more rows"),
    ):
        connect(there).servers_on("cmp1")


@pytest.mark.promise("never-9")
def test_a_refusal_without_end_is_one_all_the_same() -> None:
    path = "/v2.1/servers/s1/action"
    with HostileCloud({path: hostile.floods_its_refusal}) as there:
        with pytest.raises(Refused) as found:
            connect(there).confirm("s1")
        assert found.value.status == 409
        assert there.paths().count(path) == 1


@pytest.mark.finding("H4")
@pytest.mark.promise("never-9")
@pytest.mark.parametrize("reply", [*SLOW, *ENDLESS, hostile.is_no_http], ids=name_of)
def test_a_write_that_is_not_answered_is_sent_once(reply: Reply) -> None:
    path = "/v2.1/servers/s1/action"
    with HostileCloud({path: reply}) as there:
        cloud = connect(there)
        with budget(SHORT), pytest.raises(Unknown):
            cloud.confirm("s1")
        assert there.paths().count(path) == 1


@pytest.mark.finding("H4")
@pytest.mark.promise("never-9")
@pytest.mark.parametrize("path", [SERVICES, "/v2.1/servers/s1/action"])
def test_an_answer_is_never_taken_for_that_to_another_request(path: str) -> None:
    """What comes before the answer proves nothing, and the answer finds nobody who waits."""
    with HostileCloud({path: hostile.hints_first({"aggregates": [{"id": 7}]})}) as there:
        cloud = connect(there)
        with pytest.raises((CloudUnreachable, Unknown), match="HTTP 103"):
            cloud.services() if path == SERVICES else cloud.confirm("s1")
        assert cloud.aggregates() == ()
        assert [each.partition("?")[0] for each in there.paths()].count(path) == 1


# Redirects


@pytest.mark.finding("M11")
@pytest.mark.parametrize("where", [TOKENS, VERSION, SERVICES])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_leads_to_another_place(where: str, status: int) -> None:
    with HostileCloud() as other:
        away = hostile.redirects(f"{other.base}/v2.1/x", status)
        with (
            HostileCloud({where: away}) as there,
            pytest.raises((CloudUnreachable, BadCredentials)),
        ):
            connect(there).services()
        assert other.requests == []


@pytest.mark.parametrize("target", [SERVICES, "//", "?x", "x y", "http://", "http://[", "\x1b[2J"])
def test_redirects_in_one_place_end(target: str) -> None:
    with HostileCloud({SERVICES: hostile.redirects(target)}) as there:
        with pytest.raises((CloudUnreachable, NotFound)):
            connect(there).services()
        assert len(there.requests) < 10


def test_a_slash_that_nova_adds_is_followed() -> None:
    moved = {SERVICES: hostile.redirects(f"{SERVICES}/"), f"{SERVICES}/": answer({"services": []})}
    with HostileCloud(moved) as there:
        assert connect(there).services() == ()


@pytest.mark.promise("never-9")
def test_a_write_follows_no_redirect() -> None:
    path = "/v2.1/servers/s1/action"
    with HostileCloud({path: hostile.redirects("/v2.1/servers/s2/action", 307)}) as there:
        with pytest.raises(Unknown):
            connect(there).confirm("s1")
        assert "/v2.1/servers/s2/action" not in there.paths()


# What the machine has


@pytest.mark.finding("C1", "S6")
def test_nothing_of_the_machine_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with HostileCloud() as other, HostileCloud() as there:
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login netrc password netrc\n")
        (tmp_path / ".netrc").chmod(0o600)
        own = {"clouds": {"openstack": {"auth": {"auth_url": other.base, "password": "own"}}}}
        (tmp_path / "clouds.yaml").write_text(json.dumps(own))
        (tmp_path / "secure.yaml").write_text(json.dumps(own))
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HOME", str(tmp_path))
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "OS_AUTH_URL"):
            monkeypatch.setenv(name, other.base)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("OS_CLOUD", "openstack")
        monkeypatch.setenv("OS_PASSWORD", "variable")
        assert connect(there).services() == ()
        assert other.requests == []
        told = json.dumps([[r.path, dict(r.headers), r.body.decode()] for r in there.requests])
        for word in ("netrc", "own", "variable", "uthorization"):
            assert word not in told
        assert "{hunter2}" in told, "a password is sent as it is written"


# What is shown of it

EVIL = "\x1b]0;owned\x07\x1b[2J\u202e😀 password=hunter2 gAAAAABkabcdefghijklmnopqrstuvwxyz " * 99


@pytest.mark.finding("L2")
@pytest.mark.promise("never-10")
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 500, 503])
@pytest.mark.parametrize("where", [TOKENS, VERSION, SERVICES])
def test_what_a_cloud_says_is_one_clean_line_without_secrets(where: str, status: int) -> None:
    said = {"error": {"message": EVIL, "code": status, "title": EVIL}}
    with HostileCloud({where: answer(said, status)}) as there:
        with pytest.raises((Problem, NotFound)) as found:
            connect(there).services()
        text = str(found.value)
        assert text.isprintable()
        assert "hunter2" not in text and "gAAAAA" not in text and "😀" not in text
        assert len(text) < 1000


@pytest.mark.finding("M1")
@pytest.mark.promise("never-10")
def test_no_password_of_an_address_is_shown_or_used() -> None:
    with HostileCloud() as there:
        url = there.base.replace("//", "//proxyuser:Hunter2pass@")
        auth = {"auth_url": f"{url}/v3", "username": "u", "password": "p"}
        with pytest.raises(BadCredentials, match="auth_url has a user name") as found:
            connect(there, auth=auth)
        assert "Hunter2pass" not in str(found.value)
        endpoint = {"interface": "public", "region": "R", "region_id": "R", "id": "e"}
        there.catalog = [{"type": "compute", "endpoints": [endpoint | {"url": f"{url}/v2.1"}]}]
        with pytest.raises(CloudUnreachable) as lost:
            connect(there)
        assert "Hunter2pass" not in str(lost.value)
        assert there.paths() == [TOKENS]


@pytest.mark.finding("M12")
@pytest.mark.parametrize(
    ("value", "seconds"),
    [("17", 17), ("0", 0), ("000000000400", 300), ("999999999", 300), ("9" * 5000, 300)]
    + [
        (odd, None)
        for odd in ("²", "-1", "1e9", "1.5", "inf", "٣", "Wed, 21 Oct 2026 07:28:00 GMT")
    ],
)
def test_a_cloud_that_asks_for_a_wait_gets_five_minutes_at_most(
    value: str, seconds: float | None
) -> None:
    def busy(connection: Connection) -> None:
        connection.send(
            b"HTTP/1.1 503 X\r\nContent-Length: 0\r\nRetry-After: "
            + value.encode("latin-1", "ignore")
            + b"\r\n\r\n"
        )

    with HostileCloud({SERVICES: busy}) as there, pytest.raises(CloudUnreachable) as found:
        connect(there).services()
    assert found.value.retry_after == seconds


# What leads elsewhere: addresses and IDs

ODD_IDS = ["../../x", "a/b", "a?b=c", "a#b", "%2e%2e", "..", ".", "", "a b", "é", "a\nb", "x" * 65]


@pytest.mark.finding("M11")
@pytest.mark.parametrize("odd", [*ODD_IDS, 7, None, [], {}, True])
def test_an_id_that_is_none_never_becomes_a_path(odd: Any) -> None:
    row = {"id": odd, "host": "cmp1", "status": "enabled", "state": "up"}
    server = {"id": odd, "status": "ACTIVE", "OS-EXT-SRV-ATTR:host": "cmp1"}
    replies = {
        SERVICES: answer({"services": [row]}),
        "/v2.1/servers/detail": answer({"servers": [server], "servers_links": [{}]}),
        "/placement/resource_providers": answer({"resource_providers": [{"uuid": odd}]}),
    }
    with HostileCloud(replies) as there:
        cloud = connect(there)
        reads: list[Callable[[], object]] = [
            lambda: [cloud.delete_service(each.id) for each in cloud.services()],
            lambda: [cloud.confirm(each.id) for each in cloud.servers_on("cmp1")],
            lambda: cloud.allocations("cmp1"),
        ]
        for read in reads:
            with pytest.raises(CloudUnreachable):
                read()
        known = {TOKENS, VERSION, *replies}
        assert {path.partition("?")[0] for path in there.paths()} <= known


@pytest.mark.finding("M11")
@pytest.mark.parametrize("odd", ODD_IDS)
def test_no_verb_is_sent_for_an_id_that_is_none(odd: str) -> None:
    with HostileCloud() as there:
        cloud = connect(there)
        before = len(there.requests)
        for verb in (cloud.confirm, cloud.revert, cloud.delete_service, cloud.enable_service):
            with pytest.raises(CloudUnreachable):
                verb(odd)
        with pytest.raises(CloudUnreachable):
            cloud.abort_live(odd, 1)
        assert len(there.requests) == before


@pytest.mark.finding("M11")
@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "http://u:p@127.0.0.1/",
        "http://127.0.0.1/x?y=",
        "http://127.0.0.1/#",
        "http://127.0.0.1/%2e%2e",
        "http://127.0.0.1/../x",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:%(port)s/",
        "http:///x",
        "//x",
        "",
        None,
        7,
        {},
    ],
)
def test_an_address_in_the_catalog_that_is_not_plain_is_not_used(url: Any) -> None:
    endpoint = {"interface": "public", "region": "R", "region_id": "R", "id": "e", "url": url}
    with HostileCloud(catalog=[{"type": "compute", "endpoints": [endpoint]}]) as there:
        with pytest.raises((CloudUnreachable, BadCredentials)):
            connect(there)
        assert there.paths() == [TOKENS]


@pytest.mark.finding("M11")
@pytest.mark.parametrize("address", ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]"])
def test_what_serves_a_machine_its_own_credentials_is_not_asked(address: str) -> None:
    """Platforms' metadata services. Names that lead there are refused as well: see below."""
    auth = {"auth_url": f"http://{address}/v3", "username": "u", "password": "p"}
    endpoint = {"interface": "public", "region": "R", "region_id": "R", "id": "e"}
    catalog = [{"type": "compute", "endpoints": [endpoint | {"url": f"http://{address}/v2.1"}]}]
    override = {"compute_endpoint_override": f"http://{address}/"}
    entries: list[dict[str, Any]] = [{"auth": auth}, {}, override]
    with HostileCloud(catalog=catalog) as there:
        for entry in entries:
            with pytest.raises(CloudUnreachable, match="link-local"):
                connect(there, **entry)


@pytest.mark.finding("M11")
def test_a_name_is_judged_by_the_address_that_is_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever owns the name may let it lead somewhere else at each request."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 80))]
    monkeypatch.setattr(transport, "resolve", lambda *_: found)
    auth = {"auth_url": "http://metadata.example.org/v3", "username": "u", "password": "p"}
    with HostileCloud() as there, pytest.raises(CloudUnreachable, match="link-local"):
        connect(there, auth=auth)


ODD_CATALOGS: list[Any] = [
    {},
    "x",
    7,
    [7],
    [{}],
    [{"type": 7}],
    [{"type": "compute"}],
    [{"type": "compute", "endpoints": 7}],
    [{"type": "compute", "endpoints": [7]}],
    [{"type": "compute", "endpoints": [{}]}],
]


@pytest.mark.parametrize("catalog", ODD_CATALOGS)
def test_a_catalog_that_is_none_is_told(catalog: Any) -> None:
    with HostileCloud(catalog=catalog) as there, pytest.raises((CloudUnreachable, BadCredentials)):
        connect(there)


ODD_VERSIONS: list[Any] = ["x", "2", "2.x", "", "2." + "9" * 5000, "1.99", 7, None, "\x1b.2", "²"]


@pytest.mark.parametrize(
    "document", [{}, {"version": 7}, *({"version": {"version": odd}} for odd in ODD_VERSIONS)]
)
def test_a_version_document_that_is_none_is_told(document: Any) -> None:
    with (
        HostileCloud({VERSION: answer(document)}) as there,
        pytest.raises((CloudUnreachable, CloudTooOld)),
    ):
        connect(there)


@pytest.mark.finding("L5")
def test_no_answer_makes_a_new_metric() -> None:
    def series() -> int:
        return sum(len(family.samples) for family in metrics.REGISTRY.collect())

    statuses = itertools.count(600)

    def odd(connection: Connection) -> None:
        answer({}, next(statuses))(connection)

    with HostileCloud({f"/v2.1/servers/{name}": odd for name in ("ab", "cd", "ef")}) as there:
        cloud = connect(there)
        before = None
        for name in ("ab", "cd", "ef"):
            with pytest.raises((CloudUnreachable, NotAllowed)):
                cloud.server(name)
            before = before or series()
        assert series() == before


def test_where_nothing_listens_that_is_said() -> None:
    """Another cause than a cloud that is slow, with another remedy."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        auth = {"auth_url": f"http://127.0.0.1:{bound.getsockname()[1]}/v3"}
        auth |= {"username": "quiesce", "password": "secret"}
        text = yaml.safe_dump({"clouds": {"openstack": {"auth": auth}}})
        with pytest.raises(CloudUnreachable, match="Connection refused"):
            Clouds(LONG).get(
                Secret("ns", "clouds", "1", {"clouds.yaml": text.encode()}), "openstack"
            )


READS: list[Callable[[Cloud], object]] = [
    lambda cloud: cloud.services(),
    lambda cloud: cloud.servers_on("cmp1"),
    lambda cloud: cloud.to_verify(["s1"]),
    lambda cloud: cloud.migrations("cmp1"),
    lambda cloud: cloud.evacuations("cmp1"),
    lambda cloud: cloud.hypervisors(),
    lambda cloud: cloud.aggregates(),
    lambda cloud: cloud.groups(),
    lambda cloud: cloud.allocations("cmp1"),
]


@pytest.mark.finding("L4")
@pytest.mark.promise("never-4")
@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("status", [404, 410, 418, 451])
def test_a_list_that_is_not_there_is_neither_empty_nor_a_bug(
    read: Callable[[Cloud], object], status: int
) -> None:
    """As where the catalog leads to another service."""
    lists = ("os-services", "servers/detail", "os-migrations", "os-hypervisors/detail")
    more = ("os-aggregates", "os-server-groups")
    gone = answer({"itemNotFound": {"message": "no such thing"}}, status)
    replies = {f"/v2.1/{name}": gone for name in (*lists, *more)}
    with HostileCloud(replies | {"/placement/resource_providers": gone}) as there:
        cloud = connect(there)
        with pytest.raises(CloudUnreachable, match=f"HTTP {status} no such thing"):
            read(cloud)


@pytest.mark.finding("L4")
def test_a_resource_provider_that_goes_while_it_is_read_is_no_bug() -> None:
    rows = {"resource_providers": [{"uuid": "p1", "name": "cmp1"}]}
    with HostileCloud({"/placement/resource_providers": answer(rows)}) as there:
        cloud = connect(there)
        with pytest.raises(CloudUnreachable, match="resource provider p1 was deleted"):
            cloud.allocations("cmp1")
