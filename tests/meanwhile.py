"""Another caller that comes in between: deterministic, through the database's own connection."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection


@contextmanager
def when_the_first_job_is_written(act: Callable[[], object]) -> Iterator[None]:
    """Whoever writes jobs in the block has chosen, and is about to write the first of them, when `act` is done, once."""
    done: list[bool] = []

    def between(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if not done and sql.startswith('INSERT INTO "instances_job"'):
            done.append(True)
            act()
        return execute(sql, params, many, context)

    with connection.execute_wrapper(between):
        yield
    assert done, "no job was written"
