"""Run Inkling: web, worker and scheduler as supervised children of this one command."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from config import telemetry, welcome
from config.programs import NAMES, programs
from config.supervisor import Supervisor
from experiments.selectors.sites import has_streams


class Command(BaseCommand):
    help = "Run web, worker and scheduler until Ctrl-C or SIGTERM."
    # Loading all that the checks look at would stay in this process's memory; `bootstrap` and the web server run them.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--bootstrap", action="store_true", help="Prepare database, login and demo first.")
        parser.add_argument(
            "--only",
            action="append",
            choices=NAMES,
            help="Run only this part; may be given several times. Put web, worker and beat on several machines with it.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        names = options["only"] or list(NAMES)
        if "web" in names:
            demand_free_port(settings.HOST, settings.PORT)
        if options["bootstrap"]:
            if status := self._run("bootstrap"):
                raise SystemExit(status)
        elif self._run("migrate", "--check", is_silent=True):
            raise CommandError(
                "The database lacks tables that this version needs. Run .venv/bin/python manage.py migrate, "
                "or let serve --bootstrap prepare everything."
            )

        if not options["only"] and not has_streams():
            names.remove("streams")
        connections.close_all()
        if "streams" in names:
            demand_free_port(settings.HOST, settings.STREAM_PORT, "INKLING_STREAM_PORT")

        metrics = settings.DATA_DIR / "metrics"
        metrics.mkdir(exist_ok=True)
        telemetry.forget_ended_processes(metrics)

        greeting = welcome.Greeting(say=self.stdout.write) if "web" in names else None
        supervisor = Supervisor(
            programs(names),
            environment={**os.environ, telemetry.FOLDER: str(metrics)},
            folder=str(settings.BASE_DIR),
            say=self._say,
            when_idle=greeting.say_when_up if greeting else lambda: None,
        )
        status = supervisor.run()
        if status:
            raise SystemExit(status)

    def _run(self, *command: str, is_silent: bool = False) -> int:
        """Run another command in a process of its own, whose memory ends with it; return its exit status."""
        output = subprocess.DEVNULL if is_silent else None
        try:
            return subprocess.run(
                [sys.executable, "manage.py", *command],
                cwd=settings.BASE_DIR,
                check=False,
                stdout=output,
                stderr=output,
            ).returncode
        except KeyboardInterrupt:
            raise SystemExit(130) from None

    def _say(self, line: str) -> None:
        self.stderr.write(line, style_func=str)


def demand_free_port(host: str, port: int, setting: str = "INKLING_PORT") -> None:
    """Refuse to start where another program listens already, before anything else is done.

    Raises: CommandError.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise CommandError(
            f"INKLING_HOST is {host!r}; expected a name or address of this machine ({error})."
        ) from error
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)
        except OSError as error:
            raise CommandError(_port_refusal(host, port, error, setting)) from error


def _port_refusal(host: str, port: int, error: OSError, setting: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} of {host} is taken by another program. "
            f"Stop that one, or choose another port: {setting}={_free_port_near(host, port)} make run"
        )
    if error.errno == errno.EACCES:
        return f"Port {port} may not be used by this login. Choose one above 1023: {setting}=8000 make run"
    return f"Inkling cannot listen on {host}:{port} ({error.strerror}). Set INKLING_HOST and {setting}."


def _free_port_near(host: str, port: int) -> int:
    for candidate in range(port + 1, min(port + 100, 65_536)):
        with socket.socket() as probe:
            if probe.connect_ex((host, candidate)) != 0:
                return candidate
    return 8000
