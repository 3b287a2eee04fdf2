"""Every test here runs with a provider that nobody may call, and with limits of its own."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache

import novita_manager.urls  # noqa: F401 - loads every view now, so that none binds the refused provider for good
from instances import provider


class NoProvider:
    """Fails the test that reaches Novita."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the provider's {name} was reached")


@pytest.fixture(autouse=True)
def nobody_calls_novita(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    refused = NoProvider()
    monkeypatch.setattr(provider, "novita", lambda: refused)
    monkeypatch.setattr("instances.api.creation.novita", lambda: refused)
    monkeypatch.setattr("instances.api.live_reads.novita", lambda: refused)
    cache.clear()
    yield
    cache.clear()
