"""Settings of the test project; the prefix comes from who starts it."""

from __future__ import annotations

import os

SECRET_KEY = "for tests"
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["channels", "asgi_shm.django"]
ROOT_URLCONF = "tests.deploy.project.asgi"
ASGI_APPLICATION = "tests.deploy.project.asgi.application"
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "asgi_shm.ShmChannelLayer",
        "CONFIG": {"prefix": os.environ["TEST_PREFIX"]},
    }
}
