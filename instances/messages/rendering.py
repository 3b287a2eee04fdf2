"""The text that is sent for a message, in its endpoint's format."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from instances.messages.formats import discord, mail, slack
from instances.messages.message import Entry, Message, News, compose
from instances.messages.news import home_link
from instances.models import Delivery
from instances.models.webhook import WebhookFormat
from instances.webhooks.kinds import Severity

_FORMATS: dict[str, Callable[[Message], dict[str, Any]]] = {
    WebhookFormat.SLACK: slack,
    WebhookFormat.DISCORD: discord,
    WebhookFormat.MAIL: mail,
}


def render(format_: str, message: Message) -> str:
    return json.dumps(_FORMATS[format_](message), separators=(",", ":"), ensure_ascii=False)


def body_of(delivery: Delivery, news: Sequence[News], *, now: datetime) -> str:
    """Of a delivery and the news told in it; without any, a test."""
    message = compose(news, now=now, home=home_link()) if news else test_message()
    return render(delivery.endpoint.format, message)


def test_message() -> Message:
    return Message(
        title="This is a test",
        severity=Severity.INFO,
        entries=(Entry(heading="Messages of novita-manager arrive here."),),
        home=home_link(),
    )
