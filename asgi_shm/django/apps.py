"""The app, as Django loads it."""

from django.apps import AppConfig
from django.core.checks import register

from .checks import check_channel_layers

__all__ = ["AsgiShmConfig"]


class AsgiShmConfig(AppConfig):  # type: ignore[misc] # Django publishes no types
    """Registers the checks."""

    name = "asgi_shm.django"
    label = "asgi_shm"
    verbose_name = "asgi_shm channel layers"

    def ready(self) -> None:
        """Have ``manage.py check`` look at CHANNEL_LAYERS."""
        register(check_channel_layers, "asgi_shm")
