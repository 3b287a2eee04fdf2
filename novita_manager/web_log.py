"""The web server's own lines in the format of all others. It writes no access log: `middleware` tells every request."""

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from gunicorn.config import Config
from gunicorn.glogging import Logger

from novita_manager.logs import configure


class WebServerLog(Logger):  # type: ignore[misc]
    """Set up in gunicorn's first process, before it knows the application: a bad setting ends it here, in one line."""

    def setup(self, cfg: Config) -> None:
        super().setup(cfg)
        try:
            configure(settings.LOGGING)
        except ImproperlyConfigured as error:
            raise SystemExit(f"novita-manager cannot start. {error}") from None
        for log in (self.error_log, self.access_log):
            log.handlers.clear()
            log.propagate = True
