"""The whole process against a fake API server: kopf's watch, the queue, signals, exit codes."""

import os
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.kube.fake_api import DRAINS, FakeApi, drain, serving, status_object

from quiesce import app
from quiesce.app import run
from quiesce.exits import Exit
from quiesce.kube.resource import Key
from quiesce.runtime.kinds import Context, Kind, Reconciler
from quiesce.settings import Listen, Settings

SETTINGS = Settings(namespaces=("ns",), workers=2, listen=None, lease=None)


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    with serving() as fake:
        config = {
            "current-context": "c",
            "contexts": [
                {"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "ns"}}
            ],
            "clusters": [{"name": "c", "cluster": {"server": fake.url}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
        }
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
        yield fake


class Operator:
    """Runs the program in the main thread, where signals go, and a script beside it to end it."""

    def __init__(self) -> None:
        self.looks: list[tuple[Key, bool]] = []
        self.failure: BaseException | None = None
        self.context: Context | None = None

    def make(self, context: Context) -> Reconciler:
        self.context = context

        def reconcile(key: Key) -> float | None:
            resource = context.store.get(key)
            self.looks.append((key, resource is None))
            if resource is not None:
                context.store.add_finalizer(resource)
                context.store.write_status(resource, {"observedGeneration": resource.generation})
            return None if resource is None else 3600

        return reconcile

    def run(
        self,
        script: Callable[[], None],
        settings: Settings = SETTINGS,
        kinds: tuple[Kind, ...] = (),
    ) -> int:
        def beside() -> None:
            try:
                script()
            except BaseException as failure:  # noqa: BLE001 - raised again in the main thread
                self.failure = failure
            finally:
                os.kill(os.getpid(), signal.SIGTERM)

        before = signal.signal(
            signal.SIGTERM, signal.SIG_IGN
        )  # a run that ends early must not end pytest
        thread = threading.Thread(target=beside, daemon=True)
        thread.start()
        try:
            return run(settings, kinds or (Kind(DRAINS, "quiesce.dev/drain", self.make),))
        except SystemExit as ended:  # the signal came before the watch had begun
            return int(str(ended.code))
        finally:
            thread.join()
            signal.signal(signal.SIGTERM, before)
            if self.failure:
                raise self.failure


def until(true: Callable[[], Any]) -> None:
    give_up = time.monotonic() + 60
    while not true():
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.002)


def nothing() -> None:
    pass


def test_a_life(api: FakeApi) -> None:
    operator = Operator()
    api.put(drain("old", generation=3))

    def script() -> None:
        until(lambda: operator.looks == [(Key("ns", "old"), False)])
        until(lambda: api.watched)
        api.put(drain("new"), event="ADDED")
        until(lambda: (Key("ns", "new"), False) in operator.looks)
        until(lambda: len(api.writes) == 4)
        looks = len(operator.looks)
        api.put(drain("new", generation=2, finalizers=["quiesce.dev/drain"]))
        until(lambda: len(operator.looks) == looks + 1)
        api.drop(drain("old"))
        until(lambda: (Key("ns", "old"), True) in operator.looks)
        assert len(operator.looks) == looks + 2, "our own writes woke nobody"

    assert operator.run(script) == Exit.OK
    assert all(write.agent.startswith("quiesce/") for write in api.writes), "kopf wrote"
    assert all(
        "/namespaces/ns/" in each.path for each in api.requests if each.path.endswith(DRAINS)
    )


def test_what_was_deleted_while_nobody_looked_is_found_at_the_start(api: FakeApi) -> None:
    operator = Operator()
    api.put(drain(deletionTimestamp="2026-01-31T13:00:00Z", finalizers=["quiesce.dev/drain"]))
    assert operator.run(lambda: until(lambda: operator.looks and api.watched)) == Exit.OK
    assert all(write.agent.startswith("quiesce/") for write in api.writes)


def test_the_stream_may_break(api: FakeApi) -> None:
    operator = Operator()

    def script() -> None:
        until(lambda: api.watched)
        api.tell(None)
        until(lambda: api.watched)
        api.put(drain(), event="ADDED")
        until(lambda: operator.looks)

    assert operator.run(script) == Exit.OK


@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000])
def test_an_annotation_by_which_kopf_remembers_hides_no_change(
    api: FakeApi, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    """Anyone who may edit the object writes it, and so do other operators."""
    operator = Operator()
    annotations = {"kopf.zalando.org/last-handled-configuration": text}

    def script() -> None:
        until(lambda: api.watched)
        api.put(drain(annotations=annotations), event="ADDED")
        until(lambda: operator.looks)

    assert operator.run(script) == Exit.OK
    assert "kopf" not in capsys.readouterr().err


def test_a_watch_that_has_expired_begins_again(api: FakeApi) -> None:
    """410 Gone: etcd has compacted what it would go on from."""
    operator = Operator()

    def script() -> None:
        until(lambda: api.watched)
        begun = len([each for each in api.requests if each.query.get("watch")])
        api.tell({"type": "ERROR", "object": status_object(410, "too old", "Expired").body})
        until(lambda: len([each for each in api.requests if each.query.get("watch")]) > begun)
        api.put(drain(), event="ADDED")
        until(lambda: operator.looks)

    assert operator.run(script) == Exit.OK


def stands_by(monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], None]) -> None:
    """The next process leads after a while."""

    @contextmanager
    def leading(*_: Any) -> Iterator[Callable[[], float]]:
        meanwhile()
        yield lambda: 0.0

    monkeypatch.setattr(app, "_leading", leading)
    monkeypatch.setattr(app, "_STOOD_BY_SECONDS", 0.0)


def test_one_that_stood_by_begins_with_what_there_is_then(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has begun since it listed for the first time counts before anything else begins."""
    told: list[tuple[str, str]] = []

    def make(context: Context) -> Reconciler:
        context.on_seen.append(lambda found, _gone: told.append(("seen", found.resource_version)))

        def reconcile(_key: Key) -> float | None:
            told.append(("tick", ""))
            return None

        return reconcile

    def meanwhile() -> None:
        told.clear()
        api.put(drain())
        api.fail(503, times=1)

    stands_by(monkeypatch, meanwhile)
    api.put(drain())
    kinds = (Kind(DRAINS, "quiesce.dev/drain", make),)
    operator = Operator()
    operator.run(lambda: until(lambda: ("tick", "") in told and api.watched), kinds=kinds)
    assert told[0] == ("seen", "102")


def test_one_that_stood_by_and_cannot_list_lets_another_one_lead(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stands_by(monkeypatch, lambda: api.fail(503, "etcd is on fire", times=99))
    monkeypatch.setattr(app, "_LIST_TRIES", 1)
    operator = Operator()
    assert run(SETTINGS, (Kind(DRAINS, "quiesce.dev/drain", operator.make),)) == Exit.NO_API
    assert "cannot list" in (err := capsys.readouterr().err)
    assert "etcd is on fire" in err
    assert not operator.looks


def test_a_lost_watch_ends_the_process_with_a_word(
    api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    operator = Operator()
    code: list[int] = []

    def script() -> None:
        until(lambda: api.watched)
        api.tell({"type": "ERROR", "object": status_object(500, "etcd is on fire").body})
        until(lambda: code)

    def kinds() -> tuple[Kind, ...]:
        return (Kind(DRAINS, "quiesce.dev/drain", operator.make),)

    thread = threading.Thread(target=script)
    thread.start()
    code.append(run(SETTINGS, kinds()))
    thread.join()
    assert code == [Exit.WATCH_LOST]
    err = capsys.readouterr().err
    assert "the watch on" in err and "etcd is on fire" in err
    assert "Traceback" not in err


def test_a_tick_in_work_ends_before_the_process_does(api: FakeApi) -> None:
    began, ended = threading.Event(), threading.Event()

    def make(_: Context) -> Reconciler:
        def reconcile(_key: Key) -> float | None:
            began.set()
            time.sleep(0.3)
            ended.set()
            return 0

        return reconcile

    api.put(drain())
    kinds = (Kind(DRAINS, "quiesce.dev/drain", make),)
    assert (
        Operator().run(lambda: until(lambda: began.is_set() and api.watched), kinds=kinds)
        == Exit.OK
    )
    assert ended.is_set()


def test_without_namespaces_that_of_the_context_is_looked_after(api: FakeApi) -> None:
    operator = Operator()
    api.put(drain(namespace="ns"))
    api.put(drain(namespace="other"))
    operator.run(
        lambda: until(lambda: operator.looks and api.watched), Settings(listen=None, lease=None)
    )
    assert operator.looks == [(Key("ns", "d1"), False)]


def test_all_namespaces(api: FakeApi) -> None:
    operator = Operator()
    api.put(drain(namespace="a"))

    def script() -> None:
        until(lambda: api.watched)
        api.put(drain(namespace="b"), event="ADDED")
        until(lambda: len(operator.looks) == 2)

    operator.run(script, Settings(all_namespaces=True, listen=None, lease=None))
    assert {key.namespace for key, _ in operator.looks} == {"a", "b"}


def test_a_kind_that_is_not_required_is_off_without_its_crd(
    api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    operator, keyrings = Operator(), Operator()
    api.put(drain())
    kinds = (
        Kind(DRAINS, "quiesce.dev/drain", operator.make),
        Kind("migrationkeyrings", "quiesce.dev/keyring", keyrings.make, required=False),
    )
    assert (
        operator.run(lambda: until(lambda: operator.looks and api.watched), kinds=kinds) == Exit.OK
    )
    assert keyrings.context is None
    assert operator.context is not None and set(operator.context.stores) == {DRAINS}
    assert capsys.readouterr().err.count("migrationkeyrings.quiesce.dev is not installed") == 1


def test_health_is_served_from_the_first_moment_and_readiness_after_the_list(api: FakeApi) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    seen: dict[str, int] = {}

    def status(path: str) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def while_listing(request: Any) -> None:
        if request.path.endswith(DRAINS) and not seen:
            seen.update({path: status(path) for path in ("/healthz", "/readyz", "/metrics")})

    api.faults.append(while_listing)
    operator = Operator()

    def script() -> None:
        until(lambda: api.watched)
        assert (status("/healthz"), status("/readyz")) == (200, 200)

    settings = Settings(namespaces=("ns",), listen=Listen("127.0.0.1", port), lease=None)
    assert operator.run(script, settings) == Exit.OK
    assert seen == {"/healthz": 200, "/readyz": 503, "/metrics": 200}


def refused(settings: Settings, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = run(settings, (Kind(DRAINS, "quiesce.dev/drain", Operator().make),))
    err = capsys.readouterr().err
    assert "Traceback" not in err
    return code, err


def test_a_missing_crd(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    api.plurals = []
    code, err = refused(SETTINGS, capsys)
    assert code == Exit.NO_CRD
    assert "computenodedrains.quiesce.dev" in err and "kubectl apply" in err


def test_no_kubeconfig(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nowhere"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    code, err = refused(SETTINGS, capsys)
    assert code == Exit.NO_API and str(tmp_path / "nowhere") in err


def test_an_api_server_out_of_reach(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    api.fail(503, "starting", times=9)
    code, err = refused(SETTINGS, capsys)
    assert code == Exit.NO_API and api.url in err and "starting" in err


def test_an_api_server_that_lets_us_list_nothing(
    api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    message = (
        'cannot list resource "computenodedrains" in API group "quiesce.dev" in the namespace "ns"'
    )
    api.fail(403, message, times=9, when=lambda request: request.path.endswith(DRAINS))
    code, err = refused(SETTINGS, capsys)
    assert code == Exit.NO_API and message in err


def test_a_kind_that_is_not_required_and_not_allowed_is_off(
    api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.plurals = [DRAINS, "migrationkeyrings"]
    message = (
        'cannot list resource "migrationkeyrings" in API group "quiesce.dev" in the namespace "ns"'
    )
    api.fail(403, message, times=9, when=lambda request: request.path.endswith("migrationkeyrings"))
    operator = Operator()
    kinds = (
        Kind(DRAINS, "quiesce.dev/drain", operator.make),
        Kind("migrationkeyrings", "quiesce.dev/keyring", Operator().make, required=False),
    )
    assert operator.run(lambda: until(lambda: api.watched), SETTINGS, kinds) == Exit.OK
    err = capsys.readouterr().err
    assert "migrationkeyrings are off" in err and message in err


def test_a_taken_listen_address(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = Listen("127.0.0.1", taken.getsockname()[1])
        code, err = refused(Settings(listen=listen), capsys)
    assert code == Exit.USAGE and f"--listen {listen}" in err and api.requests == []


def test_a_signal_before_the_watch_begins(api: FakeApi) -> None:
    def on_first_request(_: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.2)

    api.faults.append(on_first_request)
    with pytest.raises(SystemExit) as ended:
        run(SETTINGS, (Kind(DRAINS, "quiesce.dev/drain", Operator().make),))
    assert ended.value.code == Exit.OK


def test_a_bug_in_the_wiring_is_told_with_its_traceback(
    api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    def make(_: Context) -> Reconciler:
        raise ZeroDivisionError("by zero")

    assert run(SETTINGS, (Kind(DRAINS, "quiesce.dev/drain", make),)) == Exit.BUG
    assert "ZeroDivisionError: by zero" in capsys.readouterr().err


def test_no_handler_is_left_behind(api: FakeApi) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    api.plurals = []
    run(SETTINGS, (Kind(DRAINS, "quiesce.dev/drain", Operator().make),))
    assert signal.getsignal(signal.SIGTERM) is handler


def test_a_process_that_lost_its_lease_and_does_not_end_says_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Runbooks send people to the last line of the log."""
    codes: list[int] = []
    monkeypatch.setattr(app, "_LOST_SECONDS", 0.0)
    monkeypatch.setattr("os.kill", lambda *_: None)
    monkeypatch.setattr("os._exit", codes.append)
    app._end_process(threading.Event(), "lost Lease ns/quiesce: it was not renewed for 10s")
    assert "lost Lease ns/quiesce: it was not renewed for 10s" in caplog.text
    assert codes == [Exit.LEASE_LOST]
