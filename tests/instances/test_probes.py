import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from instances.health_checks import LEASE
from instances.probes import LONGEST_ROUND, Finished, ProbePool, Result, Target, probe
from tests.instances.novita.fault_server import (
    answer,
    drip,
    fault_server,
    flood,
    hang,
    hang_up,
    refused_url,
    reset,
)

SHORT = 0.3


def http(url: str, *, path: str = "", status: int | None = None, port: int = 8080) -> Target:
    return Target(port=port, type="http", url=url, path=path, status=status)


def tcp(url: str) -> Target:
    return Target(port=22, type="tcp", url=url)


@pytest.mark.parametrize("status", [200, 204, 301, 401, 404, 499])
def test_any_status_below_500_is_an_answer(status: int) -> None:
    with fault_server(answer(b"", status)) as server:
        assert probe(http(server.url)) == Result(port=8080, ok=True, detail=f"answers HTTP {status}")


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_server_error_is_none_as_from_a_proxy_with_nothing_behind_it(status: int) -> None:
    with fault_server(answer(b"", status)) as server:
        assert probe(http(server.url)) == Result(port=8080, ok=False, detail=f"answers HTTP {status}")


def test_an_expected_status_must_come() -> None:
    with fault_server(answer(b"", 503)) as server:
        assert probe(http(server.url, status=503)).ok
        assert probe(http(server.url, status=200)) == Result(port=8080, ok=False, detail="answers HTTP 503, expected 200")


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    with (
        fault_server(answer(b"", 200)) as elsewhere,
        fault_server(answer(b"", 302, f"Location: {elsewhere.url}/")) as server,
    ):
        assert probe(http(server.url)).ok
        assert len(server.seen) == 1
        assert elsewhere.seen == []


@pytest.mark.parametrize(
    ("suffix", "path", "asked"),
    [
        ("", "", "/"),
        ("/base?x=1", "", "/base?x=1"),
        ("/base/?x=1", "/", "/base/"),
        ("/base", "/health", "/base/health"),
        ("", "health?deep=1&a=b%20c", "/health?deep=1&a=b%20c"),
        ("", "/a b\r\nX-Evil: 1", "/a%20b%0D%0AX-Evil:%201"),
        ("", "/ü", "/%C3%BC"),
    ],
)
def test_the_path_asked_for_is_that_of_the_address_and_the_named_one_below_it(suffix: str, path: str, asked: str) -> None:
    with fault_server(answer(b"")) as server:
        assert probe(http(server.url + suffix, path=path)).ok
        (seen,) = server.seen
    assert (seen.method, seen.target) == ("GET", asked)
    assert set(seen.headers) == {"host", "user-agent", "accept", "connection"}
    assert seen.headers["host"] == server.url.removeprefix("http://")


def test_a_refused_connection_does_not_answer() -> None:
    assert probe(http(refused_url())) == Result(port=8080, ok=False, detail="Connection refused")
    assert not probe(tcp(refused_url().removeprefix("http://"))).ok


def test_silence_ends_with_the_time_out() -> None:
    with fault_server(hang) as server:
        began = time.monotonic()
        assert probe(http(server.url), timeout=SHORT) == Result(port=8080, ok=False, detail="no answer within 0.3 s")
        assert time.monotonic() - began < 2


def test_a_slow_drip_ends_with_the_time_out() -> None:
    with fault_server(drip(b"HTTP/1.1 20", b"0", every=0.05)) as server:
        began = time.monotonic()
        assert not probe(http(server.url), timeout=SHORT).ok
        assert time.monotonic() - began < 2


def test_a_flood_is_not_read() -> None:
    with fault_server(flood) as server:
        assert probe(http(server.url)).ok


def test_an_endless_first_line_is_no_http_and_not_read_on() -> None:
    with fault_server(drip(b"x" * 5000, b"x")) as server:
        assert probe(http(server.url)) == Result(port=8080, ok=False, detail="answers something that is not HTTP")


def test_hanging_up_is_no_answer() -> None:
    with fault_server(hang_up) as server:
        assert probe(http(server.url)).detail == "closes the connection without an answer"
    with fault_server(reset) as server:
        assert not probe(http(server.url)).ok


@pytest.mark.parametrize("form", ["{}", "tcp://{}", "http://{}/path"])
def test_tcp_is_a_connection_whatever_form_the_address_has(form: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        result = probe(tcp(form.format(f"127.0.0.1:{listener.getsockname()[1]}")))
    assert result == Result(port=22, ok=True, detail="accepts connections")


@pytest.mark.parametrize(
    ("url", "detail"),
    [
        ("", "Novita has told no address for it"),
        ("http://", "its address has no host"),
        ("ftp://127.0.0.1:1", "its address is ftp, not http"),
        ("http://127.0.0.1:99999", "Port out of range 0-65535"),
        (f"http://{'a' * 70}.test", ""),
    ],
)
def test_an_address_that_cannot_be_asked_is_told(url: str, detail: str) -> None:
    result = probe(http(url))
    assert not result.ok
    assert detail in result.detail


def test_a_tcp_address_without_a_port_is_told() -> None:
    assert probe(tcp("127.0.0.1")).detail == "its address has no port"


@pytest.fixture
def self_signed(tmp_path: Path) -> ssl.SSLContext:
    """A server's TLS with a certificate nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "somebody.else")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now - timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + certificate.public_bytes(serialization.Encoding.PEM)
    (tmp_path / "server.pem").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    return context


@pytest.fixture
def secure_url(self_signed: ssl.SSLContext) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            plain, _ = listener.accept()
            with self_signed.wrap_socket(plain, server_side=True) as connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(5)


def test_a_certificate_of_its_own_making_answers_too(secure_url: str) -> None:
    assert probe(http(secure_url)) == Result(port=8080, ok=True, detail="answers HTTP 200")


def test_a_tls_handshake_that_never_comes_ends_with_the_time_out() -> None:
    with fault_server(hang) as server:
        assert probe(http(server.url.replace("http", "https")), timeout=SHORT).detail == "no answer within 0.3 s"


def wait_for(pool: ProbePool[str], count: int) -> list[Finished[str]]:
    """Everything finished, once there are so many."""
    found: list[Finished[str]] = []
    end = time.monotonic() + 10
    idle = threading.Event()
    while len(found) < count and time.monotonic() < end:
        found += pool.finished()
        idle.wait(0.01)
    return found


@pytest.fixture
def pool() -> Iterator[ProbePool[str]]:
    made: ProbePool[str] = ProbePool(threads=4, backlog=8, timeout=SHORT)
    yield made
    made.close()


def test_a_key_is_finished_when_all_its_targets_are_in_their_order(pool: ProbePool[str]) -> None:
    with fault_server(hang) as silent, fault_server(answer(b"")) as well:
        pool.submit("one", [http(silent.url, port=1), http(well.url, port=2)])
        (finished,) = wait_for(pool, 1)
    assert finished.key == "one"
    assert [(one.port, one.ok) for one in finished.results] == [(1, False), (2, True)]
    assert SHORT <= finished.seconds < 5


def test_submitting_never_waits_and_room_tells_when_it_is_enough(pool: ProbePool[str]) -> None:
    with fault_server(hang) as silent:
        began = time.monotonic()
        for number in range(12):
            pool.submit(str(number), [http(silent.url)])
        assert time.monotonic() - began < SHORT
        assert pool.room == -4
        assert not pool.is_idle
        assert {one.key for one in wait_for(pool, 12)} == {str(number) for number in range(12)}
    assert pool.room == 8
    assert pool.is_idle


def test_a_full_backlog_is_done_within_a_claim() -> None:
    assert timedelta(seconds=LONGEST_ROUND) < LEASE
