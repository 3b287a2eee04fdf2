"""Whether a child answers yet."""

import http.client
import socket
import time
from collections.abc import Callable

import redis


def wait_until(ready: Callable[[], bool], *, seconds: float, give_up: Callable[[], bool] = lambda: False) -> bool:
    """Ask until it is so. False when the time is over or `give_up` says that waiting is pointless."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and not give_up():
        if ready():
            return True
        time.sleep(0.05)
    return False


def listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def answers_http(host: str, port: int, path: str) -> bool:
    """Whether a web server answers there at all; what it answers is for the health page to judge."""
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def broker_answers(url: str) -> bool:
    try:
        with redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1) as client:
            return bool(client.ping())
    except (redis.RedisError, OSError):
        return False
