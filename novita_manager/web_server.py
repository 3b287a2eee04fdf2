"""How gunicorn serves: `gunicorn --config python:novita_manager.web_server novita_manager.wsgi:application`.

Each name is a setting of gunicorn's; words on its command line go before them.
"""

import os
from pathlib import Path

# For its first process, which logs before it knows the application.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "novita_manager.settings")

_MEMORY = Path("/dev/shm")  # noqa: S108 - gunicorn makes a file of its own there

bind = f"0.0.0.0:{os.environ.get('PORT') or 3000}"
workers = int(os.environ.get("WEB_PROCESSES") or 2)
threads = 8
worker_class = "gthread"
graceful_timeout = 20
logger_class = "novita_manager.web_log.WebServerLog"
control_socket_disable = True
# What a proxy says is believed by `proxies` alone, and only from TRUSTED_PROXIES.
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""
# Signs of life must not wait for a disk, and the root file system may be read-only.
worker_tmp_dir = str(_MEMORY) if _MEMORY.is_dir() else None
