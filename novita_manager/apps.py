from django.apps import AppConfig


class NovitaManagerConfig(AppConfig):
    name = "novita_manager"
    verbose_name = "Access"
    default_auto_field = "django.db.models.BigAutoField"
