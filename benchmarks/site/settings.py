"""Settings of the site; the layer to measure comes from the environment."""

import json
import os

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": os.environ["SITE_BACKEND"],
        "CONFIG": json.loads(os.environ["SITE_CONFIG"]),
    }
}
INSTALLED_APPS = ["channels"]
DATABASES: dict[str, dict[str, str]] = {}
SECRET_KEY = "nothing is signed"
ALLOWED_HOSTS = ["*"]
USE_TZ = True
