from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from django.http import QueryDict
from hypothesis import given
from hypothesis import strategies as st

from novita_manager.pages.typed import (
    Input,
    Refused,
    Unreadable,
    body_of,
    environment,
    fields_of,
    health_check,
    health_check_text,
    labels,
    labels_text,
    moment_text,
    number,
    ports,
    utc_moment,
)

NAME = Input(name="name", label="Name", path=("name",))
MODE = Input(name="mode", label="Mode", path=("auto_stop", "mode"))
AT = Input(name="at", label="At", path=("auto_stop", "stop_at"), empty=None)
ON = Input(name="on", label="On", kind="flag", path=("on",))
SOME = Input(name="some", label="Some", kind="several", path=("some",))
LABELS = Input(name="labels", label="Labels", kind="lines", path=("labels",), read=labels, empty={})


def test_texts_become_a_body_by_their_paths_and_empty_ones_what_their_input_says() -> None:
    typed = QueryDict("name= x &mode=off&on=on&some=a&some=b")
    assert body_of((NAME, MODE, AT, ON, SOME, LABELS), typed) == (
        {"name": "x", "auto_stop": {"mode": "off", "stop_at": None}, "on": True, "some": ["a", "b"], "labels": {}},
        [],
    )
    assert body_of((NAME, ON, SOME), QueryDict("name=+")) == ({"on": False}, [])


def test_a_text_without_shape_is_told_and_left_out() -> None:
    body, unreadable = body_of((LABELS, NAME), QueryDict("labels=x&name=y"))
    assert body == {"name": "y"}
    assert [one.field for one in unreadable] == ["labels"]


def test_a_refusal_stands_beside_the_input_it_is_about_and_the_rest_on_top() -> None:
    refused = [
        Refused(field="auto_stop.stop_at", text="past"),
        Refused(field="labels.0.name", text="deep"),
        Refused(field="auto_stop", text="whole"),
        Refused(field="elsewhere", text="lost"),
        Refused(field="", text="all of it"),
    ]
    fields, homeless = fields_of((MODE, AT, LABELS), QueryDict("mode=x"), refused)
    assert fields["at"].errors == ("Past",)
    assert fields["labels"].errors == ("Deep",)
    assert fields["mode"].errors == ("Whole",)
    assert fields["mode"].value == "x"
    assert homeless == ("Elsewhere: lost", "All of it")


@pytest.mark.parametrize(
    ("text", "value"), [("8", 8), ("8.5", "8.5"), ("-1", "-1"), ("9" * 30, "9" * 30), ("\u0663", "\u0663")]
)
def test_what_is_no_number_goes_on_as_text_for_the_api_to_refuse(text: str, value: Any) -> None:
    assert number(text) == value


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("any", {}),
        ("None", None),
        ("tcp 22", {"tcp": {"port": 22}}),
        ("http 8080 /health 204, tcp 22", {"http": {"port": 8080, "path": "/health", "status": 204}, "tcp": {"port": 22}}),
    ],
)
def test_a_health_check_is_read_and_written_alike(text: str, check: Any) -> None:
    assert health_check(text) == check
    assert health_check(health_check_text(check)) == check


@pytest.mark.parametrize("text", ["udp 1", "http", ",", "8080"])
def test_a_health_check_without_shape_is_refused(text: str) -> None:
    with pytest.raises(Unreadable, match="write any, none"):
        health_check(text)


def test_ports_and_environment_are_read_one_by_one() -> None:
    assert ports("8080, 22/tcp\n9") == [
        {"port": 8080, "type": "http"},
        {"port": 22, "type": "tcp"},
        {"port": 9, "type": "http"},
    ]
    assert environment("A=1\n\nB = x=y") == [{"key": "A", "value": "1"}, {"key": "B", "value": "x=y"}]


@pytest.mark.parametrize(
    ("text", "told"), [("2026-01-31T12:00", "2026-01-31T12:00Z"), ("2026-01-31T12:00Z", "2026-01-31T12:00Z")]
)
def test_a_moment_without_offset_is_utc(text: str, told: str) -> None:
    assert utc_moment(text) == told


def test_a_moment_is_written_in_utc() -> None:
    assert moment_text(datetime(2026, 1, 31, 14, 0, tzinfo=timezone(timedelta(hours=2)))) == "2026-01-31T12:00"
    assert moment_text(datetime(2026, 1, 31, 12, 0, tzinfo=UTC)) == "2026-01-31T12:00"
    assert moment_text(None) == ""


_WORD = st.text(st.characters(categories=("L", "N", "P", "S"), exclude_characters="="), min_size=1)


@given(st.dictionaries(_WORD, _WORD))
def test_labels_are_read_as_they_were_written(given_labels: dict[str, str]) -> None:
    assert labels(labels_text(given_labels)) == given_labels
