import contextlib
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "novita_manager.settings")
application = get_wsgi_application()

from django.db import DatabaseError  # noqa: E402 - Django is set up by the line above

from instances import tally  # noqa: E402
from novita_manager.proxies import verify_prefix  # noqa: E402
from sync.account import verify_account  # noqa: E402

verify_prefix()
# Another account's database refuses to start; one that is away does not: requests say so until it is back.
with contextlib.suppress(DatabaseError):
    verify_account()
tally.keep_flushing()
