"""Clients with a time of their own, and the payloads they are fed."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from instances.novita.breaker import Breaker
from instances.novita.client import CallRecord, Novita
from instances.novita.pace import LocalPace, Pace

BASE = "http://novita.test"
GPU = f"{BASE}/gpu-instance/openapi/v1"
KEY = "sk_not-a-real-key"
NOW = datetime(2026, 1, 15, 0, 0, tzinfo=UTC)


class FakeTime:
    """A clock that only sleeping moves, and remembers how long that was."""

    def __init__(self) -> None:
        self.now = NOW.timestamp()
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def make_client(
    *,
    base_url: str = BASE,
    time: FakeTime | None = None,
    rng: Callable[[], float] = lambda: 0.5,
    pace: Pace | None = None,
    breaker: Breaker | None = None,
    on_call: Callable[[CallRecord], None] | None = None,
    connect_timeout: float = 5.0,
    read_timeout: float = 30.0,
    retry_attempts: int = 3,
    max_response_bytes: int = 32 * 1024 * 1024,
) -> Novita:
    time = time or FakeTime()
    return Novita(
        api_key=KEY,
        base_url=base_url,
        connect_timeout=connect_timeout,
        read_timeout=read_timeout,
        retry_attempts=retry_attempts,
        pace=pace or LocalPace(100_000, clock=time.clock),
        breaker=breaker,
        on_call=on_call,
        max_response_bytes=max_response_bytes,
        clock=time.clock,
        sleep=time.sleep,
        rng=rng,
    )


def error_body(reason: str, message: str = "", code: int = 400, **metadata: str) -> dict[str, Any]:
    return {"code": code, "reason": reason, "message": message, "metadata": metadata}


def listed(instance_id: str = "3560b7fec915bbf9", **changes: Any) -> dict[str, Any]:
    """An instance as the list writes it."""
    return {
        "id": instance_id,
        "name": "render-node--abcdefgh23456777",
        "clusterId": "us-ca-nas-2",
        "clusterName": "US-CA-06 (California)",
        "status": "running",
        "imageUrl": "pytorch/pytorch:latest",
        "imageAuthId": "",
        "command": "",
        "entrypoint": "",
        "cpuNum": "16",
        "memory": "62",
        "gpuNum": "2",
        "portMappings": [{"port": 8888, "endpoint": "https://x-8888.example", "type": "http"}],
        "productId": "4090.16c62g",
        "productName": "RTX 4090 24GB",
        "rootfsSize": 60,
        "volumeMounts": [{"type": "network", "size": "10", "id": "vol-1", "mountPath": "/network"}],
        "statusError": {"state": "", "message": ""},
        "envs": [{"key": "TOKEN", "value": "hunter2-secret"}],
        "kind": "gpu",
        "billingMode": "spot",
        "endTime": "-1",
        "spotStatus": "notified",
        "spotReclaimTime": "1768438800",
        "createdAt": "1768435200",
        "lastStartedAt": "1768435260",
        "lastStoppedAt": "0",
        **changes,
    }


def detailed(instance_id: str = "3560b7fec915bbf9", **changes: Any) -> dict[str, Any]:
    """An instance as a read by id writes it."""
    return {
        **listed(instance_id),
        "instancePrice": "67000",
        "network": {"id": "net-1", "ip": "10.0.0.5"},
        "jobs": [{"id": "job-1", "type": "saveImage"}],
        "connectComponentSSH": {
            "sshCommand": "ssh -p 50039 root@proxy.example",
            "password": "ssh-pass-word",
            "isRunning": True,
        },
        "connectComponentWebTerminal": {
            "address": "https://term.example",
            "username": "root",
            "password": "term-pass-word",
            "isRunning": True,
        },
        "connectComponentJupyter": {"port": 8888, "address": "", "isRunning": False},
        "connectComponentLog": {
            "systemLogAddress": "https://log.example/system",
            "instanceLogAddress": "https://log.example/instance",
            "isRunning": True,
        },
        "freeStorageSize": 60,
        "keepDataDay": 7,
        "localStoragePrice": "500",
        "exitedLocalStoragePrice": 500,
        "releaseDataAt": "1769040000",
        "version": "v2",
        **changes,
    }
