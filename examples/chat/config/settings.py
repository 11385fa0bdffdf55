"""Settings of the example: one app, the channel layer, and no database."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

# This is all that a site needs in order to use asgi_shm. Every process with the
# same prefix (web workers, runworker, management commands) is on the same layer.
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "asgi_shm.ShmChannelLayer",
        "CONFIG": {
            "prefix": os.environ.get("CHAT_PREFIX", "chat-demo"),
            # Room for a burst: group_send drops a message for a member who has
            # this many unread.
            "capacity": 1000,
        },
    },
}

INSTALLED_APPS = ["channels", "django.contrib.staticfiles", "chat"]
ASGI_APPLICATION = "config.asgi.application"
ROOT_URLCONF = "config.urls"
DATABASES: dict[str, dict[str, str]] = {}
MIDDLEWARE = ["django.middleware.security.SecurityMiddleware"]
TEMPLATES = [
    {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True},
]
STATIC_URL = "static/"

# Nothing is signed here: no sessions, no cookies, no forms that change anything.
SECRET_KEY = "the example signs nothing"
DEBUG = False
ALLOWED_HOSTS = os.environ.get("CHAT_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",")
USE_TZ = True
