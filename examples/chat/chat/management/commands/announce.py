"""`manage.py announce ROOM TEXT`: say something in a room, from a plain synchronous process."""

import os
from argparse import ArgumentParser
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.core.management.base import BaseCommand, CommandError

from chat import names


class Command(BaseCommand):
    """Sends one line to everybody in a room, and ends."""

    help = "Say something to everybody in a room of the running site."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare ROOM and TEXT."""
        parser.add_argument("room", metavar="ROOM", help="a room's name, as in its URL")
        parser.add_argument("text", metavar="TEXT", nargs="+", help="what to say")

    def handle(self, *args: Any, **options: Any) -> None:
        """Send the line."""
        room = options["room"]
        if not names.is_room(room):
            raise CommandError(
                f"{room!r} is not the name of a room: "
                "small letters, digits and hyphens, at most 40, as in the room's URL."
            )
        line = {
            "type": "room.line",
            "kind": "announce",
            "from": "",
            "nick": "Announcement",
            "text": " ".join(options["text"]),
            "took": os.getpid(),
        }
        async_to_sync(get_channel_layer().group_send)(names.room_group(room), line)
        self.stdout.write(f"Sent to the room {room!r} by process {os.getpid()}.")
