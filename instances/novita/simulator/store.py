"""The state as a file: one row per thing, so that a write costs the same whatever the fleet's size."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

_TABLE = "CREATE TABLE IF NOT EXISTS thing (kind TEXT, id TEXT, body TEXT, PRIMARY KEY (kind, id)) WITHOUT ROWID"


class Store:
    """Write-ahead log and `synchronous=NORMAL`: what was committed survives kill -9 (a power cut may lose the last)."""

    def __init__(self, path: Path | None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(
            ":memory:" if path is None else path, check_same_thread=False, isolation_level=None
        )
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute(_TABLE)

    def write(self, rows: Iterable[tuple[str, str, dict[str, Any]]]) -> None:
        """All or nothing."""
        self._connection.execute("BEGIN IMMEDIATE")
        for kind, key, body in rows:
            self._connection.execute("INSERT OR REPLACE INTO thing VALUES (?, ?, ?)", (kind, key, json.dumps(body)))
        self._connection.execute("COMMIT")

    def read(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        for kind, key, body in self._connection.execute("SELECT kind, id, body FROM thing"):
            yield kind, key, json.loads(body)

    def close(self) -> None:
        self._connection.close()
