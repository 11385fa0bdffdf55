"""``manage.py shm``: asgi-shm with the prefix and the options of the site's layers."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from typing import Any

from django.core.management.base import BaseCommand

from asgi_shm.cli.main import add_commands, run

__all__ = ["Command"]


class Command(BaseCommand):  # type: ignore[misc] # Django publishes no types
    """The tool, bound to the site."""

    help = "Look into the channel layers of this site, and look after them (asgi-shm)."
    # A site whose options are wrong is what one looks for with it.
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the commands of asgi-shm."""
        add_commands(parser, bound=True)

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what asgi-shm does, and end with its exit code if that is not 0."""
        del args
        code = run(Namespace(**options))
        if code:
            sys.exit(code)
