"""What tests of the admin do again and again: run an action on rows, answer the page that asks, read what it says."""

import re
from html import unescape
from typing import Any

from django.test import Client

LIST = "/admin/instances/instance/"
JOBS = "/admin/instances/job/"
ALARMS = "/admin/instances/alarm/"


def text_of(response: Any) -> str:
    """The markup with single spaces and plain letters."""
    return re.sub(r"\s+", " ", unescape(response.content.decode()))


def words_of(response: Any) -> str:
    """Only what people read."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", response.content.decode())))


def run(client: Client, address: str, action: str, *rows: Any, **more: str) -> Any:
    data = {"action": action, "_selected_action": [str(row.pk) for row in rows], "index": "0", **more}
    return client.post(address, data, follow=True)


def confirm(client: Client, address: str, action: str, *rows: Any, **answers: str) -> Any:
    """Run it with the answers a person would write on the page that asks."""
    return run(client, address, action, *rows, confirmed="yes", **answers)
