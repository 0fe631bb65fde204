#!/usr/bin/env python
"""Django's command line for Inkling."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line

    from config.env import ConfigurationError

    try:
        execute_from_command_line(sys.argv)
    except ConfigurationError as error:
        for fault in error.faults:
            sys.stderr.write(f"Inkling cannot start: {fault.rstrip('.…')}.\n")
        sys.exit(78)  # EX_CONFIG of sysexits.h


if __name__ == "__main__":
    main()
