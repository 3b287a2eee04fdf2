"""Fixtures for real servers and for the whole product. They start something only when a test asks for it."""

import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from tests.processes.postgres import Postgres
from tests.processes.product import Product, new_product
from tests.processes.simulator import Simulator
from tests.processes.valkey import Valkey

# A property is no race: what a busy machine takes longer for is as true.
hypothesis_settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("any machine")

STEPPED_BACK = 5  # a third of the time of one that did not: enough for the half second that an answer may take
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str | None:
    return next((path for name in CHROMIUMS if (path := shutil.which(name))), None)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # So that none is still at it when the rest is done.
    items.sort(key=lambda item: [item.get_closest_marker(name) is None for name in ("alone", "long")])
    if chromium() is None:
        for item in items:
            if item.get_closest_marker("browser"):
                item.add_marker(pytest.mark.skip(reason="no Chromium on this machine (Debian: apt-get install chromium)"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Among several, what starts no process steps back for what does, for good: only root may step forward again."""
    if "PYTEST_XDIST_WORKER" in os.environ and not item.get_closest_marker("process"):
        os.setpriority(os.PRIO_PROCESS, 0, STEPPED_BACK)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the ends of the product's logs with a failed test."""
    report = yield
    starter = getattr(item, "funcargs", {}).get("product")
    if report.failed and isinstance(starter, StartProduct):
        report.sections.extend((f"product {one.port}", one.tail()) for one in starter.started)
    return report


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """The machine's own Chromium, run so that it also starts as root in a container."""
    return {**browser_type_launch_args, "executable_path": chromium(), "args": ["--no-sandbox", "--disable-dev-shm-usage"]}


@pytest.fixture(scope="session")
def django_db_modify_db_settings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Puts the test database into a file where `--database=file` asks for it."""
    if request.config.getoption("--database") == "file":
        database: dict[str, Any] = settings.DATABASES["default"]
        database["TEST"]["NAME"] = str(tmp_path_factory.mktemp("database") / "test.sqlite3")


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """An empty folder whose path is short enough for Unix sockets."""
    folder = Path(tempfile.mkdtemp(prefix="nm-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def valkey() -> Iterator[Valkey]:
    server = Valkey.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    server = Postgres.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def template_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with every table made, for products to begin with."""
    product = new_product(tmp_path_factory.mktemp("template"), environment={})
    product.manage("migrate", "--verbosity", "0")
    return product.database_file


@pytest.fixture(scope="session")
def template_database(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> str:
    """As above, on PostgreSQL: its name."""
    url = postgres.new_database()
    product = new_product(tmp_path_factory.mktemp("template"), database_url=url, environment={})
    product.manage("migrate", "--verbosity", "0")
    return url.rpartition("/")[2]


StartSimulator = Callable[..., Simulator]


@pytest.fixture
def simulator() -> Iterator[StartSimulator]:
    """Starts simulators: `simulator(speed=60, seed=1, fleet="empty")`."""
    started: list[Simulator] = []
    folders: list[Path] = []

    def start(**options: Any) -> Simulator:
        folders.append(Path(tempfile.mkdtemp(prefix="nm-sim-")))
        started.append(Simulator.start(folders[-1], **options))
        return started[-1]

    yield start
    for one in started:
        one.kill()
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


class StartProduct:
    """Starts products: `product("embedded", simulator=..., AUTO_STOP_THRESHOLD="5s")`; capital names are settings."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self.started: list[Product] = []
        self._request = request

    def __call__(self, shape: str = "embedded", *, simulator: Simulator | None = None, **environment: str) -> Product:
        """`shape` is embedded or production. Without a simulator the embedded product brings its own, with a demo fleet.

        It finds its tables made: making them takes each first start seconds.
        """
        one = self._prepare(shape, simulator, environment, with_tables=True)
        if one.is_embedded:
            one.database_file.parent.mkdir()
            shutil.copyfile(self._request.getfixturevalue("template_file"), one.database_file)
        one.start(with_tables=True)
        return one

    def first_start(self, shape: str = "embedded", *, simulator: Simulator | None = None, **environment: str) -> Product:
        """As where nothing was before."""
        one = self.prepare(shape, simulator=simulator, **environment)
        one.start()
        return one

    def prepare(self, shape: str = "embedded", *, simulator: Simulator | None = None, **environment: str) -> Product:
        """Nothing is started yet, and no table made."""
        return self._prepare(shape, simulator, environment, with_tables=False)

    def _prepare(
        self, shape: str, simulator: Simulator | None, environment: Mapping[str, str], *, with_tables: bool
    ) -> Product:
        servers: dict[str, str] = {"simulator_url": simulator.url if simulator else ""}
        if shape == "production":
            valkey: Valkey = self._request.getfixturevalue("valkey")
            postgres: Postgres = self._request.getfixturevalue("postgres")
            template = self._request.getfixturevalue("template_database") if with_tables else ""
            valkey.empty()
            servers |= {"database_url": postgres.new_database(template), "redis_url": valkey.url}
        folder = Path(tempfile.mkdtemp(prefix="nm-product-"))
        one = new_product(folder, environment=environment, **servers)
        self.started.append(one)
        return one


@pytest.fixture
def product(request: pytest.FixtureRequest) -> Iterator[StartProduct]:
    starter = StartProduct(request)
    yield starter
    for one in starter.started:
        one.stop()
        shutil.rmtree(one.folder, ignore_errors=True)
