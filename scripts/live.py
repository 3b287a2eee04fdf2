"""Asks whether what this container runs still goes on; exit status 0 when it does.

A web server is asked over HTTP. A worker and beat, which serve nothing, touch ALIVE_FILE again and again.
"""

import http.client
import os
import sys
import time
from pathlib import Path

OLDEST_SECONDS = 60.0


def main() -> int:
    file = os.environ.get("ALIVE_FILE", "")
    return 0 if (was_touched(Path(file)) if file else answers()) else 1


def was_touched(file: Path) -> bool:
    try:
        return abs(time.time() - file.stat().st_mtime) < OLDEST_SECONDS
    except OSError:
        return False


def answers() -> bool:
    # The server answers only to the names it was given.
    name = os.environ.get("ALLOWED_HOSTS", "").split(",")[0].strip().lstrip(".*") or "localhost"
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("PORT") or "3000"), timeout=4)
    try:
        connection.request("GET", "/health/live", headers={"Host": name})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
