"""Asks this container's web server whether it lives; exit status 0 when it does."""

import http.client
import os
import sys


def main() -> int:
    # The server answers only to the names it was given.
    name = os.environ.get("ALLOWED_HOSTS", "").split(",")[0].strip().lstrip(".*") or "localhost"
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("PORT", "3000")), timeout=4)
    try:
        connection.request("GET", "/health/live", headers={"Host": name})
        return 0 if connection.getresponse().status == 200 else 1
    except (OSError, http.client.HTTPException):
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
