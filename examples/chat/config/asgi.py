"""The ASGI application, with one entry for each kind of work.

The web workers serve "http" and "websocket"; `runworker dice` serves "channel".
"""

import os

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django_application = get_asgi_application()

# Both import from Django, which is ready only now.
from channels.routing import (  # noqa: E402
    ChannelNameRouter,
    ProtocolTypeRouter,
    URLRouter,
)
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from chat import names  # noqa: E402
from chat.consumers import ChatConsumer  # noqa: E402
from chat.dice import DiceConsumer  # noqa: E402
from django.urls import path  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": ASGIStaticFilesHandler(django_application),
        "websocket": AllowedHostsOriginValidator(
            URLRouter([path("ws/<room:room>/", ChatConsumer.as_asgi())])
        ),
        "channel": ChannelNameRouter({names.DICE: DiceConsumer.as_asgi()}),
    }
)
