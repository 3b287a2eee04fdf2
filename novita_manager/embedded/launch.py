"""From the settings to a running product and back: refuse early, prepare, start, watch, stop, leave nothing behind."""

import contextlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from novita_manager.embedded import addresses, broker, ports, programs, single
from novita_manager.embedded.backup import back_up
from novita_manager.embedded.first_access import describe, open_first_access
from novita_manager.embedded.programs import LOOPBACK, Shape
from novita_manager.embedded.readiness import answers_http, broker_answers, listens, wait_until
from novita_manager.embedded.supervisor import Supervisor
from novita_manager.environment import Environment
from sync.account import verify_account


class Refused(Exception):
    """It cannot start; the text is one line for the person who tried."""


class Launch:
    """One start of the product. `say` prints one line at once."""

    def __init__(self, *, host: str, manage: Path, say: Callable[[str], None]) -> None:
        self._host = host
        self._manage = manage
        self._say = say
        self._database_is_new = False

    def run(self, *, end_with_parent: bool = False) -> None:
        """Returns when it was stopped and everything has ended. Raises Refused before anything was started."""
        self._say(f"novita-manager {settings.VERSION}")
        self._say(account_line())
        settings.ACCOUNT_DIR.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(single.hold(settings.DATA_DIR / "up.lock"))
            except single.AlreadyRunning as error:
                raise Refused(
                    f"novita-manager already runs on {settings.DATA_DIR} (process {error.holder or 'unknown'}): "
                    "stop it, or give this one a DATA_DIR and a PORT of its own"
                ) from None
            if not ports.is_free(self._host, settings.PORT):
                raise Refused(f"PORT={settings.PORT} is taken by another program: stop that one, or set PORT to a free one")
            shape = self._shape()
            supervisor = Supervisor(settings.BASE_DIR, self._say, end_with_parent=end_with_parent)
            supervisor.listen()
            stack.callback(addresses.withdraw, settings.EMBEDDED_FILE)
            stack.callback(supervisor.stop)
            self._start(supervisor, shape)
            supervisor.run()
            self._say("Stopping.")
        self._say("Stopped.")

    def _shape(self) -> Shape:
        """Look round: which broker and which Novita there are, and what is ours to start."""
        account: Path = settings.ACCOUNT_DIR
        given = Environment()
        # The settings may hold addresses noted by an earlier start, which was killed before it could withdraw them.
        has_broker = given.text("REDIS_URL") or given.text("UPSTASH_REDIS_REST_URL")
        redis_url = settings.REDIS_URL if has_broker else ""
        binary = None if redis_url else broker.server_binary()
        path = broker.socket_path(account) if binary else None
        own_simulator = settings.SIMULATED and not given.text("NOVITA_API_BASE_URL")
        return Shape(
            manage=self._manage,
            account=account,
            host=self._host,
            port=settings.PORT,
            log_level=settings.LOG_LEVEL,
            redis_url=f"unix://{path}" if path else redis_url,
            broker_binary=binary,
            broker_socket=path,
            simulator_port=ports.remembered(account / "simulator-port", LOOPBACK) if own_simulator else None,
        )

    def _start(self, supervisor: Supervisor, shape: Shape) -> None:
        """What the others need first, the database while it comes up, then the others."""
        if shape.broker_binary:
            (shape.account / "broker").mkdir(exist_ok=True)
            supervisor.start(programs.broker(shape))
        elif not shape.redis_url:
            self._say("! No Valkey or Redis can run here: going on without a broker, by the clock alone.")
        if shape.simulator_port:
            supervisor.start(programs.simulator(shape))
        addresses.publish(
            settings.EMBEDDED_FILE,
            simulator_url=shape.simulator_url,
            redis_url=shape.redis_url if shape.broker_binary else "",
        )
        access = self._prepare_database()
        if shape.broker_binary and not self._waited(supervisor, lambda: broker_answers(shape.redis_url), 10):
            self._say("! The broker does not answer yet: going on, by the clock alone until it does.")
        for program in programs.workers(shape):
            supervisor.start(program)
        ready = self._waited(supervisor, lambda: is_ready(shape), 60)
        if not supervisor.stopping:
            for line in (
                ready_lines(shape, access) if ready else ["! The web server does not answer yet: see the lines above."]
            ):
                self._say(line)
            if ready and shape.simulator_port and self._database_is_new:
                # In a process of its own, which knows the simulator's address; a failure costs the demo and nothing else.
                subprocess.run(  # noqa: S603 - our own program
                    programs.demo(shape),
                    cwd=settings.BASE_DIR,
                    env={**os.environ, **programs.environment(shape)},
                    timeout=60,
                    check=False,
                )

    def _waited(self, supervisor: Supervisor, ready: Callable[[], bool], seconds: float) -> bool:
        return wait_until(ready, seconds=seconds, give_up=lambda: supervisor.stopping)

    def _prepare_database(self) -> list[str]:
        """Bring the tables up to date, with a copy first where that changes a file; lines about the first login."""
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        self._database_is_new = not executor.loader.applied_migrations
        if plan and executor.loader.applied_migrations and settings.SQLITE:
            database = Path(str(settings.DATABASES["default"]["NAME"]))
            copy = back_up(database, settings.ACCOUNT_DIR / "backups", now=timezone.now())
            self._say(f"The database changes its tables; a copy from before is {copy}")
        if plan:
            call_command("migrate", interactive=False, verbosity=0)
        if not settings.PRODUCTION:
            settings.STATIC_ROOT.mkdir(exist_ok=True)  # WhiteNoise warns where it is missing
        else:
            call_command("collectstatic", interactive=False, verbosity=0)
        try:
            verify_account()
        except ImproperlyConfigured as error:
            raise Refused(str(error)) from None
        made = open_first_access(password=settings.BOOTSTRAP_ADMIN_PASSWORD, api_key=settings.BOOTSTRAP_API_KEY)
        connections.close_all()
        return describe(made)


def account_line() -> str:
    where = f"data in {settings.ACCOUNT_DIR}"
    if settings.SIMULATED:
        return f"Account:  SIMULATOR, no money is spent ({where}). Set NOVITA_API_KEY to use your Novita account."
    return f"Account:  Novita at {settings.NOVITA_API_BASE_URL} ({where})"


def is_ready(shape: Shape) -> bool:
    simulator_is = shape.simulator_port is None or listens(LOOPBACK, shape.simulator_port)
    return simulator_is and answers_http(urlsplit(shape.address).hostname or LOOPBACK, shape.port, "/health/live")


def ready_lines(shape: Shape, access: list[str]) -> list[str]:
    hint = [] if access else ["Login:    as shown on the first start (new key: manage.py create_api_key NAME --scope admin)"]
    url = settings.PUBLIC_URL or shape.address
    return [f"Ready:    {url}  (API under /api/v1, its pages under /api/docs)", *access, *hint, "Ctrl-C stops everything."]
