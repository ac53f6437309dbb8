"""What an answer means: a refusal is a fact, all else that is no success proves nothing."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.unit.openstack.answers import Wire, answer

from quiesce.api.errors import BadCredentials, CloudUnreachable, NotAllowed
from quiesce.openstack.errors import Forbidden, NotFound, Refused, Unknown
from quiesce.openstack.http import Api, cause, failure, message, retry_after
from quiesce.openstack.routes import route


@pytest.mark.parametrize(
    ("status", "of_a_read", "of_a_write"),
    [
        (400, CloudUnreachable, Refused),
        (401, BadCredentials, BadCredentials),
        (403, NotAllowed, Forbidden),
        (404, NotFound, NotFound),
        (405, CloudUnreachable, Refused),
        (409, CloudUnreachable, Refused),
        (422, CloudUnreachable, Refused),
        (413, CloudUnreachable, Unknown),
        (429, CloudUnreachable, Unknown),
        (500, CloudUnreachable, Unknown),
        (502, CloudUnreachable, Unknown),
        (503, CloudUnreachable, Unknown),
        (504, CloudUnreachable, Unknown),
        (300, CloudUnreachable, Unknown),
    ],
)
def test_classes_of_failure(status: int, of_a_read: type, of_a_write: type) -> None:
    assert type(failure(answer(status), "GET /x", write=False)) is of_a_read
    assert type(failure(answer(status), "POST /x", write=True)) is of_a_write


def test_the_text_names_the_call_the_status_novas_words_and_its_request() -> None:
    told = answer(503, {"error": {"message": "busy"}}, {"x-openstack-request-id": "req-1"})
    assert (
        str(failure(told, "GET /servers/detail", write=False))
        == "GET /servers/detail: HTTP 503 busy (req-1)"
    )
    assert "Give the operator's user the role" in str(
        failure(answer(403), "PUT /os-services/1", write=True)
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            {"conflictingRequest": {"code": 409, "message": "in vm_state paused"}},
            "in vm_state paused",
        ),
        ({"errors": [{"status": 409, "detail": "generation conflict"}]}, "generation conflict"),
        ("<html>Bad gateway</html>", "Bad Gateway"),
        ("", "Bad Gateway"),
        ([], "Bad Gateway"),
        ({}, "Bad Gateway"),
        ({"a": "b"}, "Bad Gateway"),
        (None, "Bad Gateway"),
        ({"x": {"message": "m" * 9999}}, "m" * 499 + "…"),
    ],
)
def test_novas_own_words(body: Any, said: str) -> None:
    assert message(answer(502, body, reason="Bad Gateway")) == said


@pytest.mark.parametrize(
    ("value", "seconds"), [("17", 17.0), ("", None), ("Wed, 21 Oct 2026 07:28:00 GMT", None)]
)
def test_retry_after(value: str, seconds: float | None) -> None:
    told = answer(429, headers={"Retry-After": value} if value else {})
    assert retry_after(told) == seconds
    found = failure(told, "GET /x", write=False)
    assert isinstance(found, CloudUnreachable)
    assert found.retry_after == seconds


@pytest.mark.promise("never-9")
def test_a_write_is_sent_once_whatever_is_answered() -> None:
    for reply, error in (
        (answer(500), Unknown),
        (answer(429), Unknown),
        (CloudUnreachable("reset by peer"), Unknown),
        (answer(409), Refused),
    ):
        wire = Wire(lambda *_, reply=reply: reply)
        with pytest.raises(error):
            wire.write("compute", "POST", "/servers/1/action", {})
        assert len(wire.sent) == 1


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_an_accepted_write_gives_its_request_id(status: int) -> None:
    wire = Wire(lambda *_: answer(status, headers={"x-compute-request-id": "req-7"}))
    assert wire.write("compute", "POST", "/servers/1/action", {}) == "req-7"


def test_a_nova_that_knows_the_microversion_no_more_is_connected_to_again() -> None:
    """It was set back to an older release (api/openstack/wsgi.py, InvalidGlobalAPIVersion)."""
    session = SimpleNamespace(request=lambda *_, **__: answer(406, {}))
    api = Api.__new__(Api)
    api._session, api.microversion, api.broken = cast(Any, session), "2.96", False
    api._base = lambda _: "https://nova.example.org"  # type: ignore[assignment,method-assign]
    with pytest.raises(CloudUnreachable, match="406"):
        api.get("compute", "/os-services")
    assert api.broken


@pytest.mark.parametrize(
    "reply", [answer(200, '{"servers": [{"id"'), answer(200, ""), answer(204, {}), answer(203, {})]
)
def test_half_an_answer_is_none(reply: Any) -> None:
    with pytest.raises(CloudUnreachable):
        Wire(lambda *_: reply).get("compute", "/servers/detail")


# Pages


def paged(pages: dict[str | None, list[str]], *, last_has_link: bool = False) -> Wire:
    """marker -> ids of the page; a page is full as long as another marker follows it."""

    def reply(service: str, method: str, path: str, query: Any, body: Any) -> Any:
        ids = pages[query.get("marker")]
        more = bool(ids) and (ids[-1] in pages or last_has_link)
        links = {"servers_links": [{"rel": "next", "href": "…"}]} if more else {}
        return {"servers": [{"id": name} for name in ids], **links}

    return Wire(reply)


def ids(wire: Wire) -> list[str]:
    return [row["id"] for row in wire.pages("/servers/detail", "servers", {"host": "cmp1"})]


def test_all_pages_are_read() -> None:
    wire = paged({None: ["a", "b"], "b": ["c", "d"], "d": ["e"]})
    assert ids(wire) == list("abcde")
    assert [query["limit"] for *_, query, _ in wire.sent] == [1000] * 3
    assert all(query["host"] == "cmp1" for *_, query, _ in wire.sent)


def test_a_last_page_that_is_full_is_followed_by_an_empty_one() -> None:
    assert ids(paged({None: ["a", "b"], "b": []})) == ["a", "b"]


def test_a_page_that_fails_fails_the_whole_list() -> None:
    def reply(service: str, method: str, path: str, query: Any, body: Any) -> Any:
        first = {"servers": [{"id": "a"}], "servers_links": [{}]}
        return answer(500) if "marker" in query else first

    with pytest.raises(CloudUnreachable):
        ids(Wire(reply))


@pytest.mark.promise("never-4")
@pytest.mark.parametrize("body", [{}, {"servers": None}, [], None, {"servers_links": []}])
def test_an_absent_list_is_never_an_empty_one(body: Any) -> None:
    with pytest.raises(CloudUnreachable):
        ids(Wire(lambda *_: answer(200, body)))


def test_a_page_is_continued_after_the_uuid_where_rows_have_one() -> None:
    def reply(service: str, method: str, path: str, query: Any, body: Any) -> Any:
        if "marker" in query:
            return {"migrations": []}
        return {"migrations": [{"id": 7, "uuid": "u-7"}], "migrations_links": [{}]}

    wire = Wire(reply)
    list(wire.pages("/os-migrations", "migrations", {}))
    assert wire.sent[1][3]["marker"] == "u-7"


def test_paths_in_metrics_have_no_ids() -> None:
    assert route("/servers/6f0c2a3e-1111-2222-3333-444455556666/action") == "/servers/{id}/action"
    assert route("/os-services/12") == "/os-services/{id}"
    assert route("/servers/detail?host=cmp1") == "/servers/detail"


POOL = "HTTPSConnectionPool(host='nova', port=443): "


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            f"Unable to establish connection to https://nova/v3: {POOL}Max retries exceeded with "
            'url: /v3 (Caused by NewConnectionError("<urllib3.connection.HTTPSConnection object '
            'at 0x7f2d>: Failed to establish a new connection: [Errno 111] Connection refused"))',
            "Unable to establish connection to https://nova/v3: [Errno 111] Connection refused",
        ),
        (
            f"SSL exception connecting to https://nova/v3: {POOL}Max retries exceeded with url: "
            "/v3 (Caused by SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] "
            "certificate verify failed: self-signed certificate (_ssl.c:1006)')))",
            "SSL exception connecting to https://nova/v3: [SSL: CERTIFICATE_VERIFY_FAILED] "
            "certificate verify failed: self-signed certificate",
        ),
        (f"{POOL}Read timed out. (read timeout=30)", "timed out"),
        (f"{POOL}Max retries exceeded (Caused by SomethingNew())", "the connection broke"),
        (
            "Unable to establish connection to http://nova/v3: HTTPConnection(host='nova', "
            "port=80): Failed to establish a new connection: [Errno 111] Connection refused",
            "Unable to establish connection to http://nova/v3: [Errno 111] Connection refused",
        ),
        (
            "Unable to establish connection to http://nova/v3: ('Connection aborted.', "
            "RemoteDisconnected('Remote end closed connection without response'))",
            "Unable to establish connection to http://nova/v3: Remote end closed connection "
            "without response",
        ),
        (
            "Unable to establish connection to http://nova/v3: _Http(host='nova', port=80): "
            "Failed to establish a new connection: [Errno 111] Connection refused",
            "Unable to establish connection to http://nova/v3: [Errno 111] Connection refused",
        ),
        (
            "Unable to establish connection to https://nova/v3: _Https(host='nova', port=443): "
            "Failed to resolve 'nova' ([Errno -2] Name or service not known)",
            "Unable to establish connection to https://nova/v3: [Errno -2] Name or service not "
            "known",
        ),
        ("Request to https://nova/v3 timed out", "Request to https://nova/v3 timed out"),
    ],
)
def test_a_broken_connection_is_told_in_words_that_are_the_same_every_time(
    said: str, told: str
) -> None:
    assert cause(OSError(said)) == told


def test_a_read_that_fails_says_of_which_kind_it_was() -> None:
    """By its route: that the same call fails for one server after the other is one failure."""
    reads = Wire(lambda *_: answer(503))
    server = "/servers/11111111-2222-3333-4444-555555555555"
    for read in (reads.get, reads.ask):
        with pytest.raises(CloudUnreachable) as found:
            read("compute", server)
        assert found.value.call == "GET /servers/{id}"
