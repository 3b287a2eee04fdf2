"""Whether anything at all was committed to the database since: a token that moves with every commit of anybody.

What was read is as true as before while the token is the same. PostgreSQL: the snapshot, which names every transaction that
is visible. SQLite: what the connection noticed of other connections, and what it wrote itself; so a token belongs to its
connection, and to the thread that holds it.
"""

from typing import Any

from django.db import connection


def data_version() -> tuple[Any, ...] | None:
    """None where nothing can be said: inside of a transaction, whose end may take back what was read.

    To be asked before what it vouches for is read.
    """
    if connection.in_atomic_block:
        return None
    if connection.vendor == "postgresql":
        return _asked("SELECT pg_current_snapshot()::text")
    if connection.vendor == "sqlite":
        (noticed,) = _asked("PRAGMA data_version")
        handle = connection.connection
        return id(handle), noticed, handle.total_changes
    return None


def _asked(sql: str) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        row: tuple[Any, ...] = cursor.fetchone()
    return row
