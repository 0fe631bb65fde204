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
    except BrokenPipeError:
        # The reader has seen enough (`| head`); without this Python complains once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)  # what a shell reports for SIGPIPE


if __name__ == "__main__":
    main()
