"""The Django site that channels_postgres cannot be imported without.

Run as a program with a port, it makes the layer's tables by the layer's migrations.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

DATABASE = {
    "ENGINE": "django.db.backends.postgresql",
    "NAME": "postgres",
    "USER": "bench",
    "HOST": "127.0.0.1",
}


def set_up(database: Mapping[str, Any]) -> None:
    """Make this process one of the site, with the database of a CONFIG; once is enough."""
    import django
    from django.conf import settings

    if settings.configured:
        return
    # The layer's own flush() asks for the database by the second name.
    entry = {key: value for key, value in database.items() if key != "prefix"}
    settings.configure(
        INSTALLED_APPS=["channels_postgres"],
        DATABASES={"default": entry, "channels_postgres": entry},
        USE_TZ=True,
    )
    django.setup()


if __name__ == "__main__":
    set_up({**DATABASE, "PORT": sys.argv[1]})
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
