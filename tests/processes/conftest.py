"""Fixtures for the image and its containers. They start something only when a test asks for it."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pytest

from tests.conftest import Template
from tests.processes.image import SERVICES, Containers, Image, compose
from tests.processes.postgres import Postgres
from tests.processes.product import first_way_in
from tests.processes.simulator import Simulator
from tests.processes.valkey import Valkey

Deploy = Callable[..., Containers]


@pytest.fixture(scope="session")
def image() -> Iterator[Image]:
    built = Image.build()
    yield built
    built.remove()


@pytest.fixture
def deploy(image: Image, postgres: Postgres, valkey: Valkey, template_database: Template) -> Iterator[Deploy]:
    """Starts containers as compose does: `deploy(simulator())`. They serve.

    `first`: in an empty database, after the one-offs.
    """
    made: list[Containers] = []

    def start(novita: Simulator, services: Sequence[str] = SERVICES, *, first: bool = False, **given: str) -> Containers:
        valkey.empty()
        valkey.folder.chmod(0o755)
        (valkey.folder / "valkey.sock").chmod(0o777)
        database_url = postgres.new_database("" if first else template_database.name)
        urls = {"database_url": database_url, "redis_url": valkey.url, "novita_url": novita.url}
        access = first_way_in() if first else template_database.first_way_in
        containers = Containers.prepare(image, **urls, **access, **given)
        made.append(containers)
        for service in ("migrate", "bootstrap") if first else ():
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
