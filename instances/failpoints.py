"""Places where a test may kill the process, to prove that what is left behind is put right by the next one.

`FAILPOINT=create.after_call` kills at the first arrival, `FAILPOINT=create.after_call@3` at the third. Where
`FAILPOINT_MARK` names a file, it is made first, and no process dies again while it exists. Ignored in production.
"""

import os
import signal
import threading

from django.conf import settings

# In the order in which a provider write passes them; a place is named VERB.MOMENT, such as create.after_call.
MOMENTS = (
    "before_intent",  # a lease is held, nothing is stored or sent
    "after_intent",  # the intent to call is stored
    "before_call",  # the last line before the request
    "after_call",  # Novita has answered, or failed to; nothing of it is stored
    "after_store",  # the outcome is stored
)

_lock = threading.Lock()
_arrivals: dict[str, int] = {}


def reach(name: str) -> None:
    """Ends this process at once, as a power cut would, if this is the place and the time that FAILPOINT names."""
    wanted, _, count = os.environ.get("FAILPOINT", "").partition("@")
    if wanted != name or settings.PRODUCTION:
        return
    with _lock:
        _arrivals[name] = _arrivals.get(name, 0) + 1
        arrived = _arrivals[name]
    if arrived == int(count or 1) and _first_to_die(os.environ.get("FAILPOINT_MARK", "")):
        os.kill(os.getpid(), signal.SIGKILL)


def _first_to_die(mark: str) -> bool:
    if not mark:
        return True
    try:
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    return True
