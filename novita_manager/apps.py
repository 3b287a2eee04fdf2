from django.apps import AppConfig, apps

# Rooms of others whose rows stand in our area of access: shown under its name.
_IN_ACCESS = ("auth", "axes")


class NovitaManagerConfig(AppConfig):
    name = "novita_manager"
    verbose_name = "Access"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        for label in _IN_ACCESS:
            apps.get_app_config(label).verbose_name = self.verbose_name
