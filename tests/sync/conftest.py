from collections.abc import Iterator
from typing import Any

import pytest

from tests.driving import Drive, driving


@pytest.fixture
def drive(db: None, settings: Any) -> Iterator[Drive]:
    """An empty account at Novita, and the core pointed at it."""
    with driving(settings) as one:
        yield one


@pytest.fixture
def with_reclaims(drive: Drive) -> None:
    """Reclaims are acted on, in whatever the test does with `drive`."""
    drive.with_reclaims = True
