"""Fixtures for the image and its containers. They start something only when a test asks for it."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pytest

from tests.processes.image import SERVICES, Containers, Image, compose
from tests.processes.postgres import Postgres
from tests.processes.simulator import Simulator
from tests.processes.valkey import Valkey

Deploy = Callable[..., Containers]


@pytest.fixture(scope="session")
def image() -> Iterator[Image]:
    built = Image.build()
    yield built
    built.remove()


@pytest.fixture
def deploy(image: Image, postgres: Postgres, valkey: Valkey) -> Iterator[Deploy]:
    """Starts containers as compose does, after the one-offs: `deploy(simulator())`. They serve."""
    made: list[Containers] = []

    def start(novita: Simulator, services: Sequence[str] = SERVICES, **given: str) -> Containers:
        valkey.empty()
        valkey.folder.chmod(0o755)
        (valkey.folder / "valkey.sock").chmod(0o777)
        urls = {"database_url": postgres.new_database(), "redis_url": valkey.url, "novita_url": novita.url}
        containers = Containers.prepare(image, **urls, **given)
        made.append(containers)
        for service in ("migrate", "bootstrap"):
            done = containers.run(*compose()["services"][service]["command"])
            assert done.returncode == 0, done.stderr
        for service in services:
            containers.start(service)
        for service in services:
            containers.wait_for(partial(containers.is_well, service), f"{service} is well")
        return containers

    yield start
    for one in made:
        one.remove()
