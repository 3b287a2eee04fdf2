"""Structured logs: JSON for machines, a console format for people. Secrets never reach a log line."""

import contextlib
import logging
import logging.config
import re
import sys
import threading
from collections.abc import MutableMapping
from functools import lru_cache
from types import TracebackType
from typing import Any, ClassVar, TextIO

import structlog
from structlog.typing import Processor

_SECRET_NAMES = re.compile(r"authorization|api_?key|password|secret|token|envs?$|cookie", re.IGNORECASE)
_SECRET_VALUES = re.compile(r"(Bearer\s+)\S+|\b(sk_|nvm_|whsec_)[\w+/=-]{6,}|(://[^/\s:@]*:)[^@\s]+(?=@)", re.IGNORECASE)
# Each of those has one of these, which are found sooner: most values of a line have none.
_NEEDED_BY_SECRET_VALUES = re.compile(r"[\s_@]")


def without_secrets(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The log line with values of secret-sounding names, keys and passwords in addresses blotted out."""
    for name, value in event.items():
        if _sounds_secret(name):
            event[name] = "***"
        elif isinstance(value, str) and _NEEDED_BY_SECRET_VALUES.search(value):
            event[name] = _SECRET_VALUES.sub(lambda found: f"{found.group(1) or found.group(3) or ''}***", value)
    return event


@lru_cache(maxsize=1000)  # the same few names in each line
def _sounds_secret(name: str) -> bool:
    return _SECRET_NAMES.search(name) is not None


class Lines:
    """A logger of ours. It writes lines by itself: through the standard library's records each would cost twice as much."""

    stream: ClassVar[TextIO] = sys.stderr

    def __init__(self, name: str) -> None:
        self.name = name
        self.isEnabledFor = logging.getLogger(name).isEnabledFor  # levels are set in one place for all

    def msg(self, line: str) -> None:
        """One write, so that lines of several threads never mix. A stream that is gone or full fails nobody."""
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(f"{line}\n")
            self.stream.flush()

    debug = info = warning = error = critical = msg


def _if_wanted(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if not logger.isEnabledFor(_LEVELS[method]):
        raise structlog.DropEvent
    return event


_LEVELS = {name.lower(): level for name, level in logging.getLevelNamesMapping().items()}
_SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.stdlib.ExtraAdder(allow={"operation"}),  # where plain Python below Django names what it was at
    structlog.processors.StackInfoRenderer(),
    structlog.processors.format_exc_info,
    without_secrets,
]


def configure(options: dict[str, str]) -> None:
    """Set up structlog and the standard library's loggers to write one line per entry on standard error.

    Warnings of Python go the same way, and in JSON what ends a process or a thread too.
    """
    logging.captureWarnings(True)
    if options["format"] == "json":
        sys.excepthook = _uncaught
        threading.excepthook = lambda args: _uncaught(args.exc_type, args.exc_value, args.exc_traceback)
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if options["format"] == "json"
        else structlog.dev.ConsoleRenderer(colors=False, pad_event_to=30)
    )
    structlog.configure(
        processors=[_if_wanted, *_SHARED, renderer],
        logger_factory=Lines,
        cache_logger_on_first_use=True,
    )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "line": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": _SHARED,
                    "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
                }
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"handlers": ["stderr"], "level": options["level"]},
            "loggers": {
                "django.request": {"level": "ERROR"},
                "django.security.DisallowedHost": {"level": "CRITICAL"},
                "urllib3": {"level": "WARNING"},
                "celery.worker.strategy": {"level": "WARNING"},
                "celery.worker.request": {"level": "WARNING"},  # a line for each poke that expired while no worker was there
                "celery.app.trace": {"level": "WARNING"},
                "celery.beat": {"level": "WARNING"},
                "axes": {"level": "WARNING"},
            },
        }
    )


def _uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if issubclass(kind, Exception):
        logging.getLogger("uncaught").critical("process.failed", exc_info=(kind, error or kind(), trace))
    elif error is not None:
        sys.__excepthook__(kind, error, trace)
