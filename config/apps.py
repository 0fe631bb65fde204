from django.apps import AppConfig

from config import lifeline


class PlatformConfig(AppConfig):
    name = "config"
    label = "platform"
    verbose_name = "Platform"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from config import celery  # noqa: F401  # so that shared tasks are sent through our broker, in every process

        lifeline.tie_spawned_process()
