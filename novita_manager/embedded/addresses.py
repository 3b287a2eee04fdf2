"""What the supervisor chose, written where commands in other terminals look: `embedded.json` in the account's folder."""

import json
import os
from pathlib import Path


def publish(path: Path, *, simulator_url: str, redis_url: str) -> None:
    """Write the addresses that are in use; whoever reads meanwhile sees the old file or the new one, whole."""
    given = {"simulator_url": simulator_url, "redis_url": redis_url}
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text(json.dumps({name: value for name, value in given.items() if value}), encoding="utf-8")
    draft.replace(path)


def withdraw(path: Path) -> None:
    path.unlink(missing_ok=True)
