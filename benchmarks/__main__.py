"""`make bench`: every benchmark in one run, as one table. Figures of one machine are compared by ratio only."""

import os
import sys
import tempfile
from pathlib import Path


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="novita-bench-") as folder:
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
            "ENVIRONMENT": "test",
            "DATA_DIR": folder,
            "LOG_LEVEL": "ERROR",
            "NOVITA_REQUESTS_PER_MINUTE": "600000",
        }
        for name in ("DATABASE_URL", "REDIS_URL", "NOVITA_API_KEY"):
            os.environ.pop(name, None)
        import django  # noqa: PLC0415 - the environment is set first

        django.setup()
        from benchmarks.auto_stop import auto_stop  # noqa: PLC0415
        from benchmarks.fleet_page import fleet_page  # noqa: PLC0415
        from benchmarks.reclaiming import reclaiming  # noqa: PLC0415
        from benchmarks.syncing import syncing  # noqa: PLC0415
        from benchmarks.table import show  # noqa: PLC0415
        from benchmarks.watching import watching  # noqa: PLC0415

        rows = [*watching(Path(folder)), *fleet_page(), *syncing(), *auto_stop(), *reclaiming()]
        show(rows)
        return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
