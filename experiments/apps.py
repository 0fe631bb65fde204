from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ExperimentsConfig(AppConfig):
    name = "experiments"
    verbose_name = "Inkling"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from experiments import checks  # noqa: F401  registers the system checks
        from experiments.audit import register_models
        from experiments.roles import grant_roles

        register_models()
        post_migrate.connect(grant_roles, dispatch_uid="experiments.grant_roles")
