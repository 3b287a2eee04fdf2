"""What the client makes of a server that misbehaves on a real socket."""

import gzip
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from instances.novita.client import CallRecord, Novita
from instances.novita.errors import NotFound, Unavailable, Unknown
from instances.novita.types import CreateRequest
from tests.instances.novita.factory import KEY, FakeTime, make_client
from tests.instances.novita.fault_server import (
    Behaviour,
    FaultServer,
    answer,
    drip,
    fault_server,
    flood,
    hang,
    hang_up,
    refused_url,
    reset,
    truncated,
)

CREATE = CreateRequest(name="n--abc", product_id="p", image_url="i", envs={"TOKEN": "hunter2-secret"})
HEAD = b"HTTP/1.1 200 X\r\nContent-Length: 1000000\r\n\r\n"
EMPTY_LIST = b'{"instances": [], "total": 0}'


def impatient(server: FaultServer, *, read_timeout: float = 0.15, max_response_bytes: int = 10_000_000) -> Novita:
    return make_client(
        base_url=server.url,
        connect_timeout=0.15,
        read_timeout=read_timeout,
        max_response_bytes=max_response_bytes,
        time=FakeTime(),
    )


def test_a_refused_connection_means_nothing_happened() -> None:
    client = make_client(base_url=refused_url())

    with pytest.raises(Unavailable) as caught:
        client.create_instance(CREATE)

    assert caught.value.reason == "CONNECTION_REFUSED"
    assert caught.value.status is None


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (hang, "READ_TIMEOUT"),
        (reset, "CONNECTION_RESET"),
        (hang_up, "CONNECTION_RESET"),
        (truncated, "CONNECTION_RESET"),
        (answer(b"<html>oops</html>"), "UNREADABLE_BODY"),
        (answer(b"{}"), "UNREADABLE_BODY"),
        (answer(b"", 502), ""),
        (answer(b'{"code": 500, "reason": "INTERNAL"}', 500), "INTERNAL"),
        (answer(b"", 302, "Location: http://127.0.0.1:1/"), "REDIRECT"),
    ],
    ids=["silence", "reset", "hang-up", "truncated", "html", "no-id", "502", "500", "redirect"],
)
def test_a_create_that_may_have_happened_is_unknown_and_sent_once(behaviour: Behaviour, reason: str) -> None:
    with fault_server(behaviour) as server:
        with pytest.raises(Unknown) as caught:
            impatient(server).create_instance(CREATE)

        assert caught.value.reason == reason
        assert caught.value.request_id == server.seen[0].headers["x-request-id"]
        assert len(server.seen) == 1


@pytest.mark.parametrize("behaviour", [hang, reset, hang_up, truncated, answer(b"", 502), answer(b"not json")])
def test_a_read_is_tried_again_after_any_failure(behaviour: Behaviour) -> None:
    with fault_server(behaviour, behaviour, answer(EMPTY_LIST)) as server:
        assert impatient(server).list_instances().complete
        assert len(server.seen) == 3


def test_a_read_gives_up_after_its_attempts() -> None:
    with fault_server(reset) as server:
        with pytest.raises(Unknown):
            impatient(server).list_instances()

        assert len(server.seen) == 3


@pytest.mark.parametrize(
    "behaviour",
    [drip(HEAD, b" "), drip(b"HTTP/1.1 200 X\r\n", b"X-More: 1\r\n"), drip(b"", b"H")],
    ids=["body", "headers", "status-line"],
)
def test_a_slow_drip_ends_at_the_total_time_out(behaviour: Behaviour) -> None:
    with fault_server(behaviour) as server:
        began = time.monotonic()
        with pytest.raises(Unknown) as caught:
            impatient(server).stop_instance("a")
        took = time.monotonic() - began

    assert caught.value.reason in ("READ_TIMEOUT", "CONNECTION_RESET")
    assert took < 2.0


def test_a_body_without_end_is_cut_off_and_not_asked_for_again() -> None:
    with fault_server(flood) as server:
        with pytest.raises(Unknown) as caught:
            impatient(server, read_timeout=5.0, max_response_bytes=100_000).list_instances()

        assert caught.value.reason == "BODY_TOO_LARGE"
        assert len(server.seen) == 1


def test_a_small_body_that_unpacks_to_a_huge_one_is_cut_off() -> None:
    bomb = gzip.compress(b" " * 5_000_000)
    with fault_server(answer(bomb, 200, "Content-Encoding: gzip")) as server:
        with pytest.raises(Unknown) as caught:
            impatient(server, read_timeout=5.0, max_response_bytes=100_000).list_instances()

        assert caught.value.reason == "BODY_TOO_LARGE"


def test_a_redirect_is_not_followed_with_the_key() -> None:
    with fault_server(answer(EMPTY_LIST)) as other:
        away = answer(b"", 307, f"Location: {other.url}/")
        with fault_server(away) as server, pytest.raises(Unavailable):
            impatient(server).list_instances()

        assert other.seen == []


def test_connections_are_reused_and_calls_run_side_by_side() -> None:
    together = threading.Barrier(4, timeout=5)

    def wait_for_the_others(connection: object, stopping: threading.Event) -> None:
        together.wait()
        answer(EMPTY_LIST)(connection, stopping)  # type: ignore[arg-type]

    with fault_server(wait_for_the_others) as server:
        client = make_client(base_url=server.url, read_timeout=5.0)
        with ThreadPoolExecutor(4) as pool:
            for _ in range(3):
                lists = [pool.submit(client.list_instances) for _ in range(4)]
                assert all(future.result().complete for future in lists)

        assert len(server.seen) == 12
        assert server.connections <= 4


def test_the_key_and_the_request_id_are_sent() -> None:
    with fault_server(answer(b'{"id": "new"}')) as server:
        assert impatient(server).create_instance(CREATE) == "new"

        seen = server.seen[0]
        assert (seen.method, seen.target) == ("POST", "/gpu-instance/openapi/v1/gpu/instance/create")
        assert seen.headers["authorization"] == f"Bearer {KEY}"
        assert len(seen.headers["x-request-id"]) == 32


def test_cookies_are_not_kept() -> None:
    with fault_server(answer(EMPTY_LIST, 200, "Set-Cookie: a=b; Path=/")) as server:
        client = impatient(server)
        client.list_instances()
        client.list_instances()

        assert all("cookie" not in seen.headers for seen in server.seen)


def test_a_netrc_does_not_replace_the_key(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = f"{tmp_path}/netrc"
    with open(netrc, "w", encoding="utf-8") as file:
        file.write("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", netrc)
    with fault_server(answer(EMPTY_LIST)) as server:
        impatient(server).list_instances()

        assert server.seen[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_log_is_read_up_to_its_tail_and_without_the_key() -> None:
    log = b"".join(b"line %d\n" % number for number in range(1000))
    with fault_server(answer(EMPTY_LIST)) as api, fault_server(answer(log)) as logs:
        client = impatient(api)
        whole = client.container_log(f"{logs.url}/log?token=t", tail_bytes=100_000)
        tail = client.container_log(f"{logs.url}/log?token=t", tail_bytes=9)

        assert whole.complete
        assert whole.text == log.decode()
        assert not tail.complete
        assert tail.text == "line 999\n"
        assert "authorization" not in logs.seen[0].headers


def test_a_log_of_our_own_origin_gets_the_key() -> None:
    with fault_server(answer(b"hello")) as server:
        impatient(server).container_log(f"{server.url}/logs/a")

        assert server.seen[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_log_that_never_ends_gives_what_came_in_time() -> None:
    stream = drip(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n", b"5\r\nline\n\r\n")
    with fault_server(stream) as server:
        log = impatient(server).container_log(server.url, seconds=0.3)

    assert not log.complete
    assert log.text.startswith("line\nline\n")


def test_a_flood_of_log_ends_at_the_size_limit() -> None:
    with fault_server(flood) as server:
        log = impatient(server, max_response_bytes=200_000).container_log(server.url, tail_bytes=100)

    assert not log.complete
    assert len(log.text) == 100


def test_log_hosts_that_fail_are_told_apart() -> None:
    with fault_server(answer(b"", 404)) as server, pytest.raises(NotFound):
        impatient(server).container_log(server.url)
    with fault_server(answer(b"", 502)) as server, pytest.raises(Unavailable):
        impatient(server).container_log(server.url)
    with fault_server(answer(b"", 302, "Location: http://127.0.0.1:1")) as server, pytest.raises(Unavailable):
        impatient(server).container_log(server.url)


def test_no_error_or_record_shows_key_env_or_query() -> None:
    records: list[CallRecord] = []
    echo = b'{"code": 400, "reason": "VALIDATOR_PARAM", "message": "bad env hunter2-secret for sk_not-a-real-key"}'
    with fault_server(answer(echo, 400)) as server:
        client = make_client(base_url=server.url, on_call=records.append)
        with pytest.raises(Exception, match="bad env") as create:
            client.create_instance(CREATE)
    with pytest.raises(Unavailable) as log:
        make_client().container_log(f"{refused_url()}/x?token=log-secret")

    shown = f"{create.value!r} {create.value.__dict__} {log.value!r} {records} {client!r}"
    assert "hunter2-secret" not in shown
    assert KEY not in shown
    assert "log-secret" not in shown
    assert create.value.__context__ is None
    assert log.value.__context__ is None
