"""Fixtures for real servers and for the whole product. They start something only when a test asks for it."""

import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from _pytest.nodeid import NodeId
from django.conf import settings
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from tests.processes.postgres import Postgres
from tests.processes.product import Product, first_way_in, new_product
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
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("loadgroup", False):
        _name_groups(items)
    # So that none is still at it when the rest is done.
    items.sort(key=lambda item: [item.get_closest_marker(name) is None for name in ("alone", "long")])
    if chromium() is None:
        for item in items:
            if item.get_closest_marker("browser"):
                item.add_marker(pytest.mark.skip(reason="no Chromium on this machine (Debian: apt-get install chromium)"))


def _name_groups(items: list[pytest.Item]) -> None:
    """Write the group of each test behind its name, where the controller of pytest-xdist looks for it.

    pytest-xdist 3.8 does so itself, in an attribute that pytest 9.2 no longer reads: without this, groups are torn apart.
    """
    for item in items:
        group = item.get_closest_marker("xdist_group")
        if group is not None:
            name = f"{item.nodeid}@{group.args[0]}"
            item._id = NodeId.parse(name)
            assert item.nodeid == name, "pytest names its tests elsewhere"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Among several, what starts no process steps back for what does, for good: only root may step forward again."""
    if "PYTEST_XDIST_WORKER" in os.environ and not item.get_closest_marker("process"):
        os.setpriority(os.PRIO_PROCESS, 0, STEPPED_BACK)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the ends of the product's logs with a failed test."""
    report = yield
    for starter in getattr(item, "funcargs", {}).values():
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A PostgreSQL database to begin with: its name, and the settings that its administrator and its key were made by."""

    name: str
    first_way_in: Mapping[str, str]


@pytest.fixture(scope="session")
def template_database(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Template:
    """As above, on PostgreSQL, where nobody is told of the first way in: it is made too."""
    url, access = postgres.new_database(), first_way_in()
    product = new_product(tmp_path_factory.mktemp("template"), database_url=url, environment=access)
    product.manage("migrate", "--verbosity", "0")
    product.manage("bootstrap")
    return Template(name=url.rpartition("/")[2], first_way_in=access)


StartSimulator = Callable[..., Simulator]


@contextmanager
def _simulators() -> Iterator[StartSimulator]:
    started: list[Simulator] = []
    folders: list[Path] = []

    def start(**options: Any) -> Simulator:
        folders.append(Path(tempfile.mkdtemp(prefix="nm-sim-")))
        started.append(Simulator.start(folders[-1], **options))
        return started[-1]

    try:
        yield start
    finally:
        for one in started:
            one.kill()
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def simulator() -> Iterator[StartSimulator]:
    """Starts simulators: `simulator(speed=60, seed=1, fleet="empty")`."""
    with _simulators() as start:
        yield start


@pytest.fixture(scope="module")
def shared_simulator() -> Iterator[StartSimulator]:
    """As `simulator`, for what the tests of a module share. They belong into one `xdist_group`."""
    with _simulators() as start:
        yield start


class StartProduct:
    """Starts products: `product("embedded", simulator=..., AUTO_STOP_THRESHOLD="5s")`; capital names are settings."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self.started: list[Product] = []
        self._request = request

    def __call__(self, shape: str = "embedded", *, simulator: Simulator | None = None, **environment: str) -> Product:
        """`shape` is embedded or production. Without a simulator the embedded product brings its own, with a demo fleet.

        It finds its tables made: making them takes each first start seconds.
        """
        one = self._prepare(shape, simulator, environment, with_template=True)
        if one.is_embedded:
            one.database_file.parent.mkdir()
            shutil.copyfile(self._request.getfixturevalue("template_file"), one.database_file)
        one.start(is_prepared=True)
        return one

    def first_start(self, shape: str = "embedded", *, simulator: Simulator | None = None, **environment: str) -> Product:
        """As where nothing was before."""
        one = self.prepare(shape, simulator=simulator, **environment)
        one.start()
        return one

    def prepare(self, shape: str = "embedded", *, simulator: Simulator | None = None, **environment: str) -> Product:
        """Nothing is started yet, and no table made."""
        return self._prepare(shape, simulator, environment, with_template=False)

    def _prepare(
        self, shape: str, simulator: Simulator | None, environment: Mapping[str, str], *, with_template: bool
    ) -> Product:
        servers: dict[str, str] = {"simulator_url": simulator.url if simulator else ""}
        if shape == "production":
            valkey: Valkey = self._request.getfixturevalue("valkey")
            postgres: Postgres = self._request.getfixturevalue("postgres")
            template: Template | None = self._request.getfixturevalue("template_database") if with_template else None
            valkey.empty()
            if template is not None:
                environment = {**environment, **template.first_way_in}
            database_url = postgres.new_database(template.name if template else "")
            servers |= {"database_url": database_url, "redis_url": valkey.url}
        folder = Path(tempfile.mkdtemp(prefix="nm-product-"))
        one = new_product(folder, environment=environment, **servers)
        self.started.append(one)
        return one


@contextmanager
def _products(request: pytest.FixtureRequest) -> Iterator[StartProduct]:
    starter = StartProduct(request)
    try:
        yield starter
    finally:
        for one in starter.started:
            one.stop()
            shutil.rmtree(one.folder, ignore_errors=True)


@pytest.fixture
def product(request: pytest.FixtureRequest) -> Iterator[StartProduct]:
    with _products(request) as starter:
        yield starter


@pytest.fixture(scope="module")
def shared_product(request: pytest.FixtureRequest) -> Iterator[StartProduct]:
    """As `product`, for what the tests of a module share. They belong into one `xdist_group`."""
    with _products(request) as starter:
        yield starter
