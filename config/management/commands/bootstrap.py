"""Bring an instance to the point where it can be used: database, files, a login, and in development a demo shop."""

from __future__ import annotations

import secrets
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command, get_commands
from django.core.management.base import BaseCommand

ADMIN = "admin"


class Command(BaseCommand):
    help = "Migrate, collect static files (production), create a first admin login and fill an empty database with the demo."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stderr.write("Preparing the database.", style_func=str)
        call_command("migrate", interactive=False, verbosity=0)
        if settings.IS_PRODUCTION:
            call_command("collectstatic", interactive=False, verbosity=0)
        self._create_login()
        if settings.WANTS_DEMO and "seed_demo" in get_commands() and not self._has_sites():
            self.stderr.write(
                "Filling the empty database with the demo shop (INKLING_DEMO=false leaves it empty).", style_func=str
            )
            call_command("seed_demo")

    def _has_sites(self) -> bool:
        return apps.get_model("experiments", "Site").objects.exists()

    def _create_login(self) -> None:
        users = get_user_model().objects
        if users.filter(is_superuser=True).exists():
            return
        password = secrets.token_urlsafe(12)
        users.create_superuser(ADMIN, password=password)
        self.stdout.write(f"Admin login: {ADMIN}   password: {password}   (shown only this once)")
