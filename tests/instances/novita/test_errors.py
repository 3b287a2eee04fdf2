import ssl
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from urllib3 import exceptions as low
from urllib3.connection import HTTPConnection

from instances.novita import errors
from instances.novita.answers import read_answer, retry_time
from instances.novita.errors import (
    REASONS,
    AuthFailed,
    InvalidRequest,
    InvalidState,
    NoCapacity,
    NoMoney,
    NotFound,
    NovitaError,
    QuotaExceeded,
    RateLimited,
    Unavailable,
    Unknown,
    classify,
)
from instances.novita.exchange import Answer, failure_of
from tests.instances.novita.factory import NOW


def test_every_class_has_a_code_of_its_own() -> None:
    classes = [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, NovitaError)]

    assert len({item.code for item in classes}) == len(classes) == 14


@pytest.mark.parametrize(
    ("status", "reason", "message", "kind"),
    [
        (400, "RESOURCE_NOT_FOUND", "instance not found", NotFound),
        (400, "", "instance not fount", NotFound),
        (400, "TEMPLATE_NOT_FOUND", "", NotFound),
        (400, "WIDGET_NOT_FOUND", "", NotFound),
        (400, "REQUEST", "instance not found", NotFound),
        (404, "", "", NotFound),
        (400, "NETWORK_STORAGE_NOT_FOUND", "storage not found", InvalidRequest),
        (400, "INSUFFICIENT_RESOURCE", "", NoCapacity),
        (400, "", "INSUFFICIENT_RESOURCE", NoCapacity),
        (400, "MIGRATE_INSUFFICIENT_RESOURCE", "", NoCapacity),
        (400, "BALANCE_NOT_ENOUGH", "", NoMoney),
        (402, "", "", NoMoney),
        (400, "CREATE_INSTANCE_LIMIT", "", QuotaExceeded),
        (403, "FORBIDDEN", "quota used up", QuotaExceeded),
        (429, "RATE_LIMIT_EXCEEDED", "exceeded the GPU instance quota", QuotaExceeded),
        (429, "RATE_LIMIT_EXCEEDED", "too many requests", RateLimited),
        (429, "", "", RateLimited),
        (401, "", "", AuthFailed),
        (403, "FORBIDDEN", "", AuthFailed),
        (400, "MISSING_API_KEY", "", AuthFailed),
        (400, "CONFLICT", "", InvalidState),
        (400, "OPERATION_LIMIT", "", InvalidState),
        (400, "VALIDATOR_PARAM", "invalid state change", InvalidState),
        (400, "VALIDATOR_PARAM", "image not found", InvalidRequest),
        (400, "PREPAID_INSTANCE_NOT_SUPPORT_RELEASE", "", InvalidRequest),
        (400, "NEVER_HEARD_OF", "", InvalidRequest),
        (418, "", "", InvalidRequest),
    ],
)
def test_an_answer_is_classed_by_reason_text_and_status(
    status: int, reason: str, message: str, kind: type[NovitaError]
) -> None:
    assert classify(status, reason, message, is_write=True) is kind


@pytest.mark.parametrize("reason", ["", "UNKNOWN", "INSUFFICIENT_RESOURCE", "RESOURCE_NOT_FOUND"])
def test_a_5xx_proves_nothing_about_a_write_whatever_it_says(reason: str) -> None:
    assert classify(500, reason, "", is_write=True) is Unknown
    assert classify(503, reason, "", is_write=False) is Unavailable


def test_the_table_holds_upper_case_words_only() -> None:
    assert all(word == word.upper() for word in REASONS)


def answered(status: int, body: bytes, **headers: str) -> Any:
    answer = Answer(status=status, headers={key.replace("_", "-"): value for key, value in headers.items()}, body=body)
    return read_answer(answer, is_write=True, request_id="r-1", now=NOW, secrets=("hunter2",))


def error_of(status: int, body: bytes, **headers: str) -> NovitaError:
    with pytest.raises(NovitaError) as caught:
        answered(status, body, **headers)
    return caught.value


def test_an_error_keeps_what_novita_said() -> None:
    body = b'{"code":400,"reason":"CREATE_GPU_NUM_LIMIT","message":"too many","metadata":{"0":"8","n":4}}'

    error = error_of(400, body)

    assert isinstance(error, QuotaExceeded)
    assert (error.message, error.status, error.reason) == ("too many", 400, "CREATE_GPU_NUM_LIMIT")
    assert error.metadata == {"0": "8", "n": "4"}
    assert error.request_id == "r-1"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"code": 400, "reason": "RESOURCE_NOT_FOUND", "message": "gone"}', NotFound),
        (b'{"code": "400", "reason": "INSUFFICIENT_RESOURCE"}', NoCapacity),
        (b'{"code": 500, "reason": "UNKNOWN"}', Unknown),
        (b'{"error": "invalid state change"}', InvalidState),
        (b'{"error": {"code": "BALANCE_NOT_ENOUGH", "message": "no"}}', NoMoney),
    ],
)
def test_an_error_inside_a_200_is_an_error(body: bytes, kind: type[NovitaError]) -> None:
    assert type(error_of(200, body)) is kind


@pytest.mark.parametrize("body", [b"{}", b'{"code": 200}', b'{"code": 0, "id": "a"}', b'{"error": ""}', b"[]", b""])
def test_a_200_without_an_error_is_a_success(body: bytes) -> None:
    answered(200, body)


@pytest.mark.parametrize(
    "body", [b"<html>", b"\xff\xfe", b"[" * 100_000, b"1" * 5000 + b"x", b"null", b"[1]", b'{"error": 5}']
)
def test_any_error_body_is_survived_and_never_quoted_whole(body: bytes) -> None:
    error = error_of(400, body)

    assert type(error) is InvalidRequest
    assert len(str(error)) <= 300


def test_a_long_or_secret_message_is_cut_and_blotted_out() -> None:
    error = error_of(400, b'{"message": "hunter2 ' + b"x" * 5000 + b'", "metadata": {"k": "hunter2"}}')

    assert len(error.message) <= 300
    assert error.message.startswith("*** x")
    assert error.metadata == {"k": "***"}


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        ("0", 0),
        ("1.5", 1.5),
        ("999999999999999999", 86400),
        ("Thu, 15 Jan 2026 00:00:30 GMT", 30),
        ("Thu, 15 Jan 2020 00:00:30 GMT", 0),
        ("soon", None),
        ("", None),
        ("-5", None),
        ("²", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_date(header: str, seconds: float | None) -> None:
    expected = None if seconds is None else NOW + timedelta(seconds=seconds)

    assert retry_time(header, NOW) == expected


def test_a_retry_time_is_kept_on_the_error() -> None:
    error = error_of(429, b"", retry_after="60")

    assert isinstance(error, RateLimited)
    assert error.retry_at == datetime(2026, 1, 15, 0, 1, tzinfo=UTC)


POOL: Any = None
CONNECTION = HTTPConnection("h")


def wrapped(reason: Exception) -> low.MaxRetryError:
    return low.MaxRetryError(POOL, "/secret-path", reason)


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (requests.ConnectTimeout(), Unavailable, "CONNECT_TIMEOUT"),
        (requests.ReadTimeout(), Unknown, "READ_TIMEOUT"),
        (requests.ConnectionError(low.ReadTimeoutError(POOL, "/", "slow")), Unknown, "READ_TIMEOUT"),
        (
            requests.ConnectionError(wrapped(low.NewConnectionError(CONNECTION, "refused"))),
            Unavailable,
            "CONNECTION_REFUSED",
        ),
        (
            requests.ConnectionError(wrapped(low.NameResolutionError("h", CONNECTION, OSError()))),  # type: ignore[arg-type]
            Unavailable,
            "NAME_RESOLUTION",
        ),
        (requests.exceptions.ProxyError(), Unavailable, "PROXY_FAILED"),
        (
            requests.exceptions.SSLError(wrapped(low.SSLError(ssl.SSLCertVerificationError()))),
            Unavailable,
            "TLS_FAILED",
        ),
        (requests.exceptions.SSLError(ssl.SSLEOFError()), Unknown, "TLS_FAILED"),
        (requests.ConnectionError(low.ProtocolError("aborted", ConnectionResetError())), Unknown, "CONNECTION_RESET"),
        (requests.exceptions.ChunkedEncodingError(), Unknown, "CONNECTION_RESET"),
        (requests.exceptions.ContentDecodingError(), Unknown, "UNREADABLE_BODY"),
        (requests.exceptions.InvalidURL(), Unavailable, "NOT_SENT"),
        (OSError(), Unknown, "CONNECTION_RESET"),
    ],
)
def test_a_failure_is_classed_by_whether_the_request_may_have_arrived(
    error: Exception, kind: type[NovitaError], reason: str
) -> None:
    failure = failure_of(error, is_write=True)

    assert type(failure) is kind
    assert failure.reason == reason
    assert "secret-path" not in str(failure)
