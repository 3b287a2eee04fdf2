"""A dated copy of the SQLite file before its tables are changed."""

import contextlib
import os
import sqlite3
from datetime import datetime
from pathlib import Path

KEPT = 5


def back_up(database: Path, folder: Path, *, now: datetime) -> Path:
    """The copy just made. Older copies than the last five are removed.

    Consistent while others write: SQLite copies page by page and begins again where it must.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{database.stem}-{now:%Y%m%dT%H%M%S}-{now.microsecond:06}.sqlite3"
    draft = target.with_suffix(".draft")
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    with (
        contextlib.closing(sqlite3.connect(database)) as source,
        contextlib.closing(sqlite3.connect(draft)) as copy,
    ):
        source.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")
    draft.replace(target)
    for old in sorted(folder.glob(f"{database.stem}-*.sqlite3"))[:-KEPT]:
        old.unlink()
    return target
