"""The short form: each named failpoint on one shape, alternating, then sixty random kills, on both shapes side by side."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.chaos.rounds import FAILPOINTS, run
from tests.chaos.scene import Scene, new_scene
from tests.processes.postgres import Postgres

pytestmark = [pytest.mark.process, pytest.mark.alone, pytest.mark.xdist_group("alone"), pytest.mark.timeout(420)]

SEED = 7
RANDOM_KILLS = 30  # on each of the two shapes


@pytest.fixture
def scenes(postgres: Postgres) -> Iterator[list[Scene]]:
    made = [new_scene("sqlite", "", seed=SEED), new_scene("postgres", postgres.new_database(), seed=SEED)]
    try:
        for scene in made:
            scene.start()
        yield made
    finally:
        for scene in made:
            scene.end()


def test_whatever_is_killed_nothing_paid_is_lost_doubled_or_forgotten(scenes: list[Scene]) -> None:
    with ThreadPoolExecutor(len(scenes)) as threads:
        runs = [
            threads.submit(run, scene, failpoints=FAILPOINTS[index :: len(scenes)], random_kills=RANDOM_KILLS)
            for index, scene in enumerate(scenes)
        ]
    figures = [one.result() for one in runs]

    assert sum(one.failpoints for one in figures) == len(FAILPOINTS)
    assert sum(sum(one.random_kills.values()) for one in figures) == RANDOM_KILLS * len(scenes)
