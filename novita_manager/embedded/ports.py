"""TCP ports: whether one can be had, and one that stays the same from start to start."""

import socket
from pathlib import Path


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError:
            return False
    return True


def any_free(host: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((host, 0))
        return int(listener.getsockname()[1])


def remembered(path: Path, host: str) -> int:
    """The port noted in the file if it is still free, otherwise a free one, noted for the next start."""
    try:
        port = int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        port = 0
    if not (1024 <= port <= 65535 and is_free(host, port)):
        port = any_free(host)
        path.write_text(str(port), encoding="ascii")
    return port
