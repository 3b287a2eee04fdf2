"""How to get into an instance. What opens a door is shown only to who may see secrets, and leaves an event."""

from datetime import datetime
from typing import Any

from instances.api.times import rfc3339
from instances.events import Actor, record
from instances.models import Instance


def ways_in(instance: Instance, *, secrets: bool) -> dict[str, Any]:
    """Endpoints and other ways in; passwords, addresses with tokens and env values are null unless `secrets`."""
    machine = instance.machine
    return {
        "endpoints": machine.endpoints if machine else [],
        **_doors((machine.connection if machine else None) or {}, secrets),
        "envs": [{"key": one["key"], "value": one["value"] if secrets else None} for one in instance.envs or []],
        "secrets_shown": secrets,
        "read_at": rfc3339(machine.details_read_at) if machine and machine.details_read_at else None,
    }


def reveal(instance: Instance, *, actor: Actor, now: datetime) -> dict[str, Any]:
    """All of it, and the event that tells who read it."""
    shown = ways_in(instance, secrets=True)
    record(
        "instance.connection_read",
        at=now,
        actor=actor,
        instance=instance,
        reason="passwords and environment were read",
    )
    return shown


def _doors(connection: dict[str, Any], secrets: bool) -> dict[str, Any]:
    ssh, jupyter, terminal = (connection.get(name) for name in ("ssh", "jupyter", "web_terminal"))
    return {
        "ssh": ssh and {"command": ssh.get("command"), "password": ssh.get("password") if secrets else None},
        "jupyter": jupyter and {"url": jupyter.get("url") if secrets else None},
        "web_terminal": terminal
        and {
            "url": terminal.get("url") if secrets else None,
            "username": terminal.get("username"),
            "password": terminal.get("password") if secrets else None,
        },
    }
