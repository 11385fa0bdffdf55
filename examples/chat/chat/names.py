"""The names on the channel layer, and what a room or a nickname may look like."""

import re

from django.urls import register_converter

DICE = "dice"
"""The normal channel that is the dice worker's queue."""

EVERYONE = "everyone"
"""The group of all connections, whatever their room: presence travels over it."""

LOBBY = "lobby"

_ROOM = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_NICK_MAX = 24


def room_group(room: str) -> str:
    """Return the name of the group of a room's connections."""
    return f"room.{room}"


def is_room(text: str) -> bool:
    """Say whether `text` can be the name of a room."""
    return _ROOM.fullmatch(text) is not None


def clean_nick(text: str) -> str:
    """Return `text` as a nickname: printable, single-spaced, short. It may come out empty."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(printable.split())[:_NICK_MAX].rstrip()


class RoomConverter:
    """Room names in URL patterns: ``<room:room>``."""

    regex = _ROOM.pattern

    def to_python(self, value: str) -> str:
        """Return the room's name as it stands in the URL."""
        return value

    def to_url(self, value: str) -> str:
        """Return the room's name as it goes into the URL."""
        return value


register_converter(RoomConverter, "room")
