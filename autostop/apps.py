from django.apps import AppConfig


class AutoStopConfig(AppConfig):
    name = "autostop"
    verbose_name = "Auto-stop"
    default_auto_field = "django.db.models.BigAutoField"
