"""A parent that has imported the whole product and forks workers on demand, so that a new one lives within milliseconds.

Each line on standard input is a JSON object of environment variables for the next worker; the answer is its process id.
When the input ends, or this process dies, every worker dies with it.
"""

import ctypes
import json
import os
import signal
import sys

from novita_manager.celery import app
from novita_manager.embedded.programs import LANES

PR_SET_PDEATHSIG = 1


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead are buried by the kernel
    parent = os.getpid()
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            work(parent, json.loads(line))
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


def work(parent: int, environment: dict[str, str]) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    os.environ.update(environment)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    words = ["worker", "-P", "threads", "-c", "8", "-Q", LANES, "-l", "INFO", "--without-gossip", "--without-mingle"]
    app.worker_main([*words, "-n", f"{os.getpid()}@chaos"])
    os._exit(0)


if __name__ == "__main__":
    main()
