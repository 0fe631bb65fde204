from django.apps import AppConfig
from django.conf import settings

from config import lifeline
from config.env import ConfigurationError, without_password


class PlatformConfig(AppConfig):
    name = "config"
    label = "platform"
    verbose_name = "Platform"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from config import celery  # noqa: F401  # so that shared tasks are sent through our broker, in every process

        demand_known_store(settings.INKLING_EVENT_STORE)
        lifeline.tie_spawned_process()


def demand_known_store(address: str) -> None:
    """Refuse an event store that does not exist; the settings cannot, because the list is the tracking app's.

    Raises: ConfigurationError.
    """
    from tracking.selectors import STORES

    if address.split(":", 1)[0] not in STORES:
        known = " or ".join(sorted(STORES))
        raise ConfigurationError([f"INKLING_EVENT_STORE is {without_password(address)}; expected {known}"])
