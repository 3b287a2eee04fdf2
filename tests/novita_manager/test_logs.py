"""Lines of the log: what they never hold, and where they go."""

import io
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from novita_manager import logs


def line(**event: Any) -> dict[str, Any]:
    return dict(logs.without_secrets(None, "info", event))


@pytest.mark.parametrize(
    ("told", "secret"),
    [
        ("sent Bearer abcdef", "abcdef"),
        ("nvm_0123456789", "0123456789"),
        ("asked with sk_abc-def123", "abc-def123"),
        ("whsec_c2VjcmV0c2VjcmV0", "c2VjcmV0c2VjcmV0"),
        ("redis://:hidden@host:6379/0", "hidden"),
    ],
)
def test_a_secret_inside_of_a_value_is_blotted_out(told: str, secret: str) -> None:
    assert secret not in line(detail=told)["detail"]
    assert "***" in line(detail=told)["detail"]


@pytest.mark.parametrize("name", ["authorization", "api_key", "Password", "client_secret", "envs", "keep_token"])
def test_what_has_the_name_of_a_secret_is_blotted_out(name: str) -> None:
    assert line(**{name: "plain", "route": "/api/v1/jobs"}) == {name: "***", "route": "/api/v1/jobs"}


@given(st.from_regex(logs._SECRET_VALUES))
def test_no_secret_is_taken_for_a_value_that_cannot_hold_one(told: str) -> None:
    assert logs._NEEDED_BY_SECRET_VALUES.search(told)


def test_lines_below_the_level_of_their_logger_are_dropped() -> None:
    lines = logs.Lines("tests.lines")

    assert logs._if_wanted(lines, "error", {"event": "told"}) == {"event": "told"}
    with pytest.raises(structlog.DropEvent):
        logs._if_wanted(lines, "debug", {"event": "told"})


def test_a_stream_that_is_gone_fails_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(logs.Lines, "stream", stream)
    lines = logs.Lines("tests.lines")
    lines.info("a line")
    assert stream.getvalue() == "a line\n"

    stream.close()
    lines.info("another")
