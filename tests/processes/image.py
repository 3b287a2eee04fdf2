"""The image and the containers without an engine: the steps of the Dockerfile and the commands of docker-compose.yml.

The tree is built once, made read-only and used by an unprivileged user who exists, with secrets as files and nothing in the
environment but what the image and compose name.
"""

import contextlib
import fnmatch
import json
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import yaml
from cryptography.fernet import Fernet

from novita_manager.embedded import tether
from novita_manager.embedded.children import end_group
from novita_manager.embedded.ports import any_free
from tests.processes.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
UNPRIVILEGED = "nobody"
SCRIPTS = ("gunicorn", "celery")
SERVICES = ("web", "worker", "beat")


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What `docker build` would make: /app and /venv, and the words that the Dockerfile and compose say of them."""

    folder: Path
    user: int | None  # None: the tests are run by somebody unprivileged already

    @classmethod
    def build(cls) -> "Image":
        folder = Path(tempfile.mkdtemp(prefix="nm-image-"))
        folder.chmod(0o755)
        image = cls(folder=folder, user=pwd.getpwnam(UNPRIVILEGED).pw_uid if os.getuid() == 0 else None)
        image._make_environment()
        shutil.copytree(ROOT, image.app, ignore=_left_out, symlinks=True)
        for words in (("-m", "scripts.collect_static"), ("-m", "compileall", "-q", str(image.app))):
            step = [str(image.venv / "bin" / "python"), *words]
            done = subprocess.run(
                step, cwd=image.app, env={**os.environ, **image.linked()}, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
        for path in (image.app, *image.app.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o555 if path.is_dir() or path.stat().st_mode & 0o100 else 0o444)
        return image

    @property
    def app(self) -> Path:
        return self.folder / "app"

    @property
    def venv(self) -> Path:
        return self.folder / "venv"

    def command(self) -> list[str]:
        """What a container runs that compose says nothing of."""
        return _json_words("CMD")

    def health_check(self) -> list[str]:
        return _json_words("HEALTHCHECK")

    def environment(self) -> dict[str, str]:
        """What the last stage sets."""
        stage = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2].replace("\\\n", " ")
        (line,) = re.findall(r"^ENV (.*)$", stage, re.MULTILINE)
        return dict(word.split("=", 1) for word in line.split()) | {"PATH": f"{self.venv}/bin:{os.defpath}", **self.linked()}

    def remove(self) -> None:
        for path in (self.app, *self.app.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o755)
        shutil.rmtree(self.folder)

    def _make_environment(self) -> None:
        """A virtual environment that the user can run, with the packages of the runtime lock as they are installed here."""
        python = self._interpreter()
        make = [str(python), "-m", "venv", "--without-pip", "--symlinks", str(self.venv)]
        subprocess.run(make, env={**os.environ, **self.linked()}, check=True)
        target = next((self.venv / "lib").glob("python*")) / "site-packages"
        source = Path(sysconfig.get_path("purelib"))
        place = os.symlink if _can(["ls", str(source)], self.user) else _copy
        for name in sorted(_locked_names(source)):
            place(source / name, target / name)
        for name in SCRIPTS:
            _, _, rest = (Path(sysconfig.get_path("scripts")) / name).read_text().partition("\n")
            script = self.venv / "bin" / name
            script.write_text(f"#!{self.venv}/bin/python\n{rest}")
            script.chmod(0o755)

    def _interpreter(self) -> Path:
        """This Python, or a copy of it where it lies in a folder that the user may not enter."""
        python = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
        if _runs(python, self.user):
            return python
        library = Path(sysconfig.get_path("stdlib"))
        ignored = shutil.ignore_patterns("site-packages", "test", "idlelib", "__pycache__", "*.a")
        shutil.copytree(library, self.folder / "python" / "lib" / library.name, ignore=ignored)
        for shared in library.parent.glob("libpython*.so*"):
            shutil.copy(shared, self.folder / "python" / "lib")
        (self.folder / "python" / "bin").mkdir()
        return Path(shutil.copy(python, self.folder / "python" / "bin"))

    def linked(self) -> dict[str, str]:
        """Where a copied interpreter finds its own library."""
        copied = self.folder / "python" / "lib"
        return {"LD_LIBRARY_PATH": str(copied)} if copied.is_dir() else {}


@dataclass(kw_only=True)
class Containers:
    """Web, worker and beat of one image, each with the command and the environment that its container has."""

    image: Image
    folder: Path
    port: int
    environment: dict[str, str]
    processes: "dict[str, subprocess.Popen[bytes]]" = field(default_factory=dict)

    @classmethod
    def prepare(cls, image: Image, *, database_url: str, redis_url: str, novita_url: str, **given: str) -> "Containers":
        folder = Path(tempfile.mkdtemp(prefix="nm-containers-"))
        port = any_free("127.0.0.1")
        environment = {
            **image.environment(),
            "PORT": str(port),
            "DATA_DIR": str(folder / "data"),
            "TMPDIR": str(folder / "tmp"),
            "HOME": str(folder / "data"),
            "REDIS_URL": redis_url,
            "NOVITA_API_BASE_URL": novita_url,
            "NOVITA_REQUESTS_PER_MINUTE": "6000",
            "ALLOWED_HOSTS": "manager.example",
            "PUBLIC_URL": "https://manager.example",
            "TRUSTED_PROXIES": "127.0.0.1",
            **given,
        }
        made = cls(image=image, folder=folder, port=port, environment=environment)
        made._make_folders(
            {
                "database_url": database_url,
                "secret_key": secrets.token_urlsafe(64),
                "field_encryption_keys": Fernet.generate_key().decode(),
                "novita_api_key": f"key-{secrets.token_hex(16)}",
            }
        )
        return made

    @property
    def key(self) -> str:
        return self.environment["BOOTSTRAP_API_KEY"]

    @property
    def password(self) -> str:
        return self.environment["BOOTSTRAP_ADMIN_PASSWORD"]

    def secret(self, name: str) -> str:
        return (self.folder / "secrets" / name).read_text()

    def run(self, *command: str, **given: str) -> "subprocess.CompletedProcess[str]":
        """A one-off, to its end."""
        return subprocess.run(
            [self._found(command[0]), *command[1:]],
            env={**self.environment, **given},
            cwd=self.image.app,
            user=self.image.user,
            group=self.image.user and pwd.getpwuid(self.image.user).pw_gid,
            extra_groups=None if self.image.user is None else [],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def start(self, service: str) -> None:
        """A container of compose, in the background; its standard error goes to `<service>.log`, its output to `.out`."""
        words = compose()["services"][service].get("command") or self.image.command()
        command = [self._inside(word) for word in words]
        with (self.folder / f"{service}.log").open("ab") as log, (self.folder / f"{service}.out").open("ab") as output:
            self.processes[service] = subprocess.Popen(
                [sys.executable, "-S", "-E", tether.__file__, str(os.getpid()), self._found(command[0]), *command[1:]]
                if self.image.user is None
                else [self._found(command[0]), *command[1:]],
                env={**self.environment, **self._alive_file(service)},
                cwd=self.image.app,
                user=self.image.user,
                group=self.image.user and pwd.getpwuid(self.image.user).pw_gid,
                extra_groups=None if self.image.user is None else [],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
                start_new_session=True,
            )

    def is_well(self, service: str) -> bool:
        """What the engine would find by the health check."""
        return self.run(*self.image.health_check(), **self._alive_file(service)).returncode == 0

    def log(self, service: str) -> str:
        return (self.folder / f"{service}.log").read_text(errors="replace")

    def wait_for(self, look: Callable[[], object], what: str) -> None:
        """Like `waiting.wait_for`, and shows the ends of the logs when it was in vain."""
        try:
            wait_for(look, seconds=60, what=what)
        except AssertionError as error:
            logs = [f"--- {service}\n{self.log(service)[-4000:]}" for service in self.processes]
            raise AssertionError("\n".join((str(error), *logs))) from None

    def terminate(self, service: str, seconds: float) -> int:
        """SIGTERM as the engine sends it; the exit status. subprocess.TimeoutExpired where it is not over in time."""
        process = self.processes.pop(service)
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(timeout=seconds)
        finally:
            end_group(process)

    def remove(self) -> None:
        for process in self.processes.values():
            end_group(process)
            process.wait()
        shutil.rmtree(self.folder)

    def _make_folders(self, given: Mapping[str, str]) -> None:
        self.folder.chmod(0o755)
        for name in ("data", "tmp"):
            (self.folder / name).mkdir(mode=0o700)
            if self.image.user is not None:
                os.chown(self.folder / name, self.image.user, -1)
        (self.folder / "secrets").mkdir()
        for name, text in given.items():
            (self.folder / "secrets" / name).write_text(text)
            self.environment[f"{name.upper()}_FILE"] = str(self.folder / "secrets" / name)

    def _alive_file(self, service: str) -> dict[str, str]:
        named = compose()["services"][service].get("environment", {})
        return {"ALIVE_FILE": f"{self._inside(named['ALIVE_FILE'])}-{service}"} if "ALIVE_FILE" in named else {}

    def _inside(self, word: str) -> str:
        """A word of a command, with the container's own /tmp."""
        return re.sub(r"(^|=)/tmp/", rf"\1{self.folder / 'tmp'}/", str(word))

    def _found(self, program: str) -> str:
        return shutil.which(program, path=self.environment["PATH"]) or program


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def _json_words(instruction: str) -> list[str]:
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith(f"{instruction} ")]
    words: list[str] = json.loads(lines[-1].partition("CMD ")[2])
    return words


def _left_out(folder: str, names: list[str]) -> set[str]:
    """What .dockerignore keeps out of the image."""
    patterns = [line.removeprefix("**/") for line in (ROOT / ".dockerignore").read_text().split()]
    anywhere = [line.removeprefix("**/") for line in (ROOT / ".dockerignore").read_text().split() if "**/" in line]
    chosen = patterns if Path(folder) == ROOT else anywhere
    return {name for name in names if any(fnmatch.fnmatch(name, pattern) for pattern in chosen)}


def _runs(python: Path, user: int | None) -> bool:
    return _can([str(python), "-c", ""], user)


def _can(command: list[str], user: int | None) -> bool:
    """Whether that user may run it, and it ends well."""
    try:
        return subprocess.run(command, user=user, cwd="/", capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _copy(origin: Path, place: Path) -> None:
    if origin.is_dir():
        shutil.copytree(origin, place, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copyfile(origin, place)


def _locked_names(packages: Path) -> set[str]:
    """The folders and modules of what the runtime lock names and is installed: the image has these and no others."""
    lock = (ROOT / "requirements" / "runtime.lock").read_text()
    names: set[str] = set()
    for name in set(re.findall(r"^([A-Za-z0-9._-]+)==", lock, re.MULTILINE)):
        with contextlib.suppress(PackageNotFoundError):  # for another system or version of Python
            names |= {file.parts[0] for file in distribution(name).files or () if (packages / file.parts[0]).exists()}
    return names - {"..", "__pycache__"}
