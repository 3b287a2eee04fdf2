"""Each format against the shape that its receiver documents, and the words of a message."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import validate  # type: ignore[import-untyped]

from instances.messages.formats import discord, mail, slack
from instances.messages.message import Link, Message, News, compose
from instances.webhooks.kinds import Severity
from tests.factories import NOW

TEXT = {"type": "object", "required": ["type", "text"], "additionalProperties": False}
SLACK: dict[str, Any] = {
    "type": "object",
    "required": ["text", "blocks"],
    "additionalProperties": False,
    "properties": {
        "text": {"type": "string", "minLength": 1, "maxLength": 4000 * 3},
        "unfurl_links": {"type": "boolean"},
        "unfurl_media": {"type": "boolean"},
        "blocks": {
            "type": "array",
            "minItems": 1,
            "maxItems": 50,
            "items": {
                "oneOf": [
                    {
                        "properties": {
                            "type": {"const": "header"},
                            "text": {
                                **TEXT,
                                "properties": {
                                    "type": {"const": "plain_text"},
                                    "text": {"type": "string", "minLength": 1, "maxLength": 150},
                                    "emoji": {"type": "boolean"},
                                },
                            },
                        },
                        "required": ["type", "text"],
                        "additionalProperties": False,
                    },
                    {
                        "properties": {
                            "type": {"const": "section"},
                            "text": {
                                **TEXT,
                                "properties": {
                                    "type": {"const": "mrkdwn"},
                                    "text": {"type": "string", "minLength": 1, "maxLength": 3000},
                                },
                            },
                        },
                        "required": ["type", "text"],
                        "additionalProperties": False,
                    },
                    {
                        "properties": {
                            "type": {"const": "context"},
                            "elements": {
                                "type": "array",
                                "minItems": 1,
                                "maxItems": 10,
                                "items": {
                                    **TEXT,
                                    "properties": {
                                        "type": {"const": "mrkdwn"},
                                        "text": {"type": "string", "minLength": 1, "maxLength": 2000},
                                    },
                                },
                            },
                        },
                        "required": ["type", "elements"],
                        "additionalProperties": False,
                    },
                ]
            },
        },
    },
}
DISCORD: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["content", "embeds", "allowed_mentions"],
    "properties": {
        "username": {"type": "string", "minLength": 1, "maxLength": 80},
        "content": {"type": "string", "maxLength": 2000},
        "allowed_mentions": {"const": {"parse": []}},
        "embeds": {
            "type": "array",
            "maxItems": 10,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "title": {"type": "string", "maxLength": 256},
                    "description": {"type": "string", "maxLength": 4096},
                    "url": {"type": "string", "pattern": "^https?://"},
                    "color": {"type": "integer", "minimum": 0, "maximum": 0xFFFFFF},
                    "footer": {
                        "type": "object",
                        "required": ["text"],
                        "properties": {"text": {"type": "string", "maxLength": 2048}},
                    },
                },
            },
        },
    },
}
HOME = Link(label="Open the fleet", url="https://manager.example/")


def news(**columns: Any) -> News:
    values: dict[str, Any] = {"what": "It became unhealthy", "severity": Severity.WARNING, "at": NOW, "box": "train-1"}
    return News(**{**values, **columns})


def told(*pieces: News) -> Message:
    return compose(pieces, now=NOW + timedelta(hours=3), home=HOME)


texts = st.text(max_size=12).map(lambda text: text * 250)
pieces = st.builds(
    News,
    what=st.text(min_size=1, max_size=6).map(lambda text: text * 50),
    severity=st.sampled_from(Severity),
    at=st.just(NOW),
    box=st.text(max_size=5).map(lambda text: text * 50),
    url=st.sampled_from(["", "https://manager.example/fleet/1"]),
    price_usd_per_hour=st.none() | st.decimals(min_value=0, max_value=1000, places=5),
    cost_usd=st.none() | st.decimals(min_value=0, max_value=100_000, places=6),
    why=texts,
    remedy=texts,
    current=st.text(max_size=50),
    links=st.just(()) | st.just((Link(label="Keep it", url="https://manager.example/keep/" + "x" * 150),)),
)


@given(st.lists(pieces, min_size=1, max_size=40))
def test_whatever_is_told_each_format_keeps_to_its_documented_shape(many: list[News]) -> None:
    message = told(*many)

    validate(slack(message), SLACK)
    body = discord(message)
    validate(body, DISCORD)
    embed = body["embeds"][0]
    assert len(embed["title"]) + len(embed["description"]) + len(embed["footer"]["text"]) <= 6000
    letter = mail(message)
    assert 0 < len(letter["subject"]) <= 150
    assert "\n" not in letter["subject"]
    assert "\r" not in letter["subject"]


def test_one_piece_of_news_is_told_whole() -> None:
    message = told(
        news(
            price_usd_per_hour=Decimal("0.35"),
            cost_usd=Decimal("1.234"),
            why="port 8080: no answer",
            remedy="Look at its log",
            url="https://manager.example/fleet/1",
        )
    )

    assert message.title == "train-1: It became unhealthy"
    assert mail(message)["text"].splitlines() == [
        "train-1: It became unhealthy",
        "since 2026-11-24 12:00:00 UTC (3 h ago); $0.35 per hour; $1.23 so far",
        "Why: port 8080: no answer",
        "Look at its log",
        "https://manager.example/fleet/1",
        "",
        "Open the fleet: https://manager.example/",
        "",
        "-- ",
        "novita-manager",
    ]


def test_the_worst_comes_first_and_counts() -> None:
    message = told(
        *(news(box=f"box-{number}") for number in range(3)),
        news(what="It failed", severity=Severity.URGENT, box="costly"),
    )

    assert message.severity is Severity.URGENT
    assert message.entries[0].heading == "costly: It failed"
    assert message.title == "4 instances: It failed, It became unhealthy (3)"
    assert slack(message)["text"].startswith("🔴 4 instances")
    assert mail(message)["subject"].startswith("[novita-manager] URGENT: 4 instances")


@pytest.mark.parametrize(
    ("given_text", "in_slack", "in_discord"),
    [
        ("<!channel>", "&lt;!channel&gt;", r"\<!channel\>"),
        ("<https://evil.example|click>", "&lt;https://evil.example|click&gt;", r"\<https\://evil.example\|click\>"),
        ("@everyone", "@everyone", r"\@everyone"),
        ("[x](https://evil.example)", "[x](https://evil.example)", r"\[x\]\(https\://evil.example\)"),
    ],
)
def test_words_from_outside_link_nothing_and_call_nobody(given_text: str, in_slack: str, in_discord: str) -> None:
    message = told(news(box="box", why=given_text))

    assert in_slack in slack(message)["blocks"][1]["text"]["text"]
    assert in_discord in discord(message)["embeds"][0]["description"]


def test_links_that_act_are_there_in_every_format() -> None:
    message = told(news(links=(Link(label="Keep it for 2 h", url="https://manager.example/keep/abc"),)))

    assert "<https://manager.example/keep/abc|Keep it for 2 h>" in slack(message)["blocks"][1]["text"]["text"]
    assert "[Keep it for 2 h](https://manager.example/keep/abc)" in discord(message)["embeds"][0]["description"]
    assert "Keep it for 2 h: https://manager.example/keep/abc" in mail(message)["text"]
