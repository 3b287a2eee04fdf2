"""Whether anything at all was committed to the database since: a value that moves with every commit of anybody.

What was read is as true as before while it is the same. PostgreSQL: the snapshot, which names every transaction that is
visible. SQLite: what a connection that never writes notices of all others.
"""

import threading
from typing import Any

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper


class _Watcher:
    """One connection of the process, on which nothing is ever written."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.name: Any = None
        self.connection: BaseDatabaseWrapper | None = None

    def ask(self, sql: str) -> Any:
        with self.lock:
            name = connection.settings_dict["NAME"]
            if self.connection is None or self.name != name:
                self.connection, self.name = connections.create_connection(DEFAULT_DB_ALIAS), name
                self.connection.inc_thread_sharing()
            try:
                return _asked(self.connection, sql)
            except DatabaseError:
                self.connection = None
                raise


_watcher = _Watcher()


def data_version() -> Any:
    """None where nothing can be said: inside of a transaction, whose end may take back what was read.

    To be asked before what it vouches for is read. The same in all threads of a process.
    """
    if connection.in_atomic_block:
        return None
    if connection.vendor == "postgresql":
        return _asked(connection, "SELECT pg_current_snapshot()::text")
    if connection.vendor == "sqlite":
        return _watcher.ask("PRAGMA data_version")
    return None


def _asked(on: BaseDatabaseWrapper, sql: str) -> Any:
    with on.cursor() as cursor:
        cursor.execute(sql)
        (value,) = cursor.fetchone()
    return value
