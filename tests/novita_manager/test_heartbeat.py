"""HEARTBEAT_URL: one GET per observe-and-decide pass, and silence when there is none."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from instances.models import PeriodicWork, ProviderAccount
from novita_manager.heartbeat import send_if_due
from tests.factories import NOW, make_account

pytestmark = pytest.mark.django_db


class Watchdog(ThreadingHTTPServer):
    beats: list[str]
    status = 200


class _Handler(BaseHTTPRequestHandler):
    server: Watchdog

    def do_GET(self) -> None:
        self.server.beats.append(self.path)
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        pass


@pytest.fixture
def watchdog(settings: Any) -> Iterator[Watchdog]:
    server = Watchdog(("127.0.0.1", 0), _Handler)
    server.beats = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings.HEARTBEAT_URL = f"http://127.0.0.1:{server.server_port}/ping/abc"
    yield server
    server.shutdown()
    server.server_close()


def decided(at: Any) -> None:
    PeriodicWork.objects.update_or_create(name="auto_stop", defaults={"succeeded_at": at, "next_due_at": at})


def test_each_pass_beats_once(watchdog: Watchdog) -> None:
    make_account(now=NOW)
    decided(NOW)

    assert send_if_due(NOW + timedelta(seconds=1))
    assert not send_if_due(NOW + timedelta(seconds=2))
    decided(NOW + timedelta(seconds=3))
    assert send_if_due(NOW + timedelta(seconds=4))

    assert watchdog.beats == ["/ping/abc", "/ping/abc"]


def test_it_is_silent_before_the_first_pass_and_while_lists_are_old(watchdog: Watchdog) -> None:
    make_account(now=NOW)
    assert not send_if_due(NOW)

    decided(NOW + timedelta(hours=1))
    assert not send_if_due(NOW + timedelta(hours=1))
    ProviderAccount.objects.update(complete_list_at=NOW + timedelta(hours=1))
    assert send_if_due(NOW + timedelta(hours=1))
    assert len(watchdog.beats) == 1


def test_a_watchdog_that_refuses_is_noted_and_harms_nothing(watchdog: Watchdog) -> None:
    make_account(now=NOW)
    decided(NOW)
    watchdog.status = 500

    assert send_if_due(NOW + timedelta(seconds=1))

    row = PeriodicWork.objects.get(name="heartbeat")
    assert (row.detail, row.succeeded_at) == ("HTTP 500", None)


def test_without_an_address_nothing_is_sent(settings: Any) -> None:
    settings.HEARTBEAT_URL = ""
    make_account(now=NOW)
    decided(NOW)

    assert not send_if_due(NOW + timedelta(seconds=1))
