"""The application that every server serves. With USE_EARLY the layer is used at import."""

from __future__ import annotations

import os

import django
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from channels.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.deploy.project.settings")
django.setup()

from tests.deploy.project.consumers import Double, Room  # noqa: E402 -- after setup()

urlpatterns: list[object] = []

application = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": URLRouter([path("ws/", Room.as_asgi())]),
        "channel": ChannelNameRouter({"double": Double.as_asgi()}),
    }
)

if "USE_EARLY" in os.environ:
    async_to_sync(get_channel_layer().new_channel)()
