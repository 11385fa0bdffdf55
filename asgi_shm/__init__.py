"""A Django Channels channel layer in shared memory: many processes of one machine, no server.

``asgi_shm.ShmChannelLayer`` is the ``BACKEND`` for ``CHANNEL_LAYERS``. It works without Django
and Channels, too. ``asgi_shm.SyncShmChannelLayer`` is the same for code without an event loop.
"""

from ._base import Delivery
from ._presence import GroupEvent
from ._watching import GroupWatch
from .errors import (
    AsgiShmError,
    ChannelFull,
    ConfigError,
    InvalidName,
    LayerClosed,
    LockTimeout,
    MemoryFull,
    MessageTooLarge,
    NoFreeSlot,
    NotOwner,
    SegmentCorrupt,
    SegmentError,
    SegmentForeign,
    SegmentLayoutMismatch,
    SegmentNotFound,
    SegmentPermission,
    SegmentReplaced,
    SerializationError,
)
from .layer import ShmChannelLayer
from .segment import unlink
from .sync import IPCChannelLayer, SyncShmChannelLayer

__all__ = [
    "AsgiShmError",
    "ChannelFull",
    "ConfigError",
    "Delivery",
    "GroupEvent",
    "GroupWatch",
    "IPCChannelLayer",
    "InvalidName",
    "LayerClosed",
    "LockTimeout",
    "MemoryFull",
    "MessageTooLarge",
    "NoFreeSlot",
    "NotOwner",
    "SegmentCorrupt",
    "SegmentError",
    "SegmentForeign",
    "SegmentLayoutMismatch",
    "SegmentNotFound",
    "SegmentPermission",
    "SegmentReplaced",
    "SerializationError",
    "ShmChannelLayer",
    "SyncShmChannelLayer",
    "unlink",
]
