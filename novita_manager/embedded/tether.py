"""Runs a command that cannot outlive the process that started it, not even when that one is killed with signal 9.

Use: python tether.py PARENT_PID COMMAND [ARGUMENT ...], in a session of its own. Linux kills the command itself once the
parent is gone; elsewhere this process stays, watches the parent and ends its whole group.
"""

import ctypes
import os
import signal
import sys
import time
from types import FrameType

PR_SET_PDEATHSIG = 1
LOOK_EVERY_SECONDS = 0.3


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        # The parent may have died before the line above took effect.
        if os.getppid() == parent:
            os.execvp(command[0], command)  # noqa: S606 - the supervisor's own command, no shell
    else:
        watch(parent, command)


def watch(parent: int, command: list[str]) -> None:
    """Run the command beside this process, pass on the signals that end it, and leave with its exit status."""
    child = os.fork()
    if child == 0:
        os.execvp(command[0], command)  # noqa: S606 - the supervisor's own command, no shell

    def pass_on(number: int, _: FrameType | None) -> None:
        os.kill(child, number)

    signal.signal(signal.SIGTERM, pass_on)
    while os.getppid() == parent:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            sys.exit(abs(os.waitstatus_to_exitcode(status)))
        time.sleep(LOOK_EVERY_SECONDS)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
