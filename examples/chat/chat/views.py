"""The one page. All that moves on it comes over the websocket."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.text import slugify

from chat import names

# The page needs nothing from any other host, and the browser holds it to that.
_POLICY = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'"


def lobby(request: HttpRequest) -> HttpResponse:
    """Send visitors without a room to the lobby."""
    return redirect("room", room=names.LOBBY)


def go(request: HttpRequest) -> HttpResponse:
    """Send a visitor to the room whose name was typed, in the form that room names have."""
    room = slugify(request.GET.get("room", "")).replace("_", "-").strip("-")[:40]
    return redirect("room", room=room or names.LOBBY)


def room(request: HttpRequest, room: str) -> HttpResponse:
    """Serve the page of a room."""
    response = render(request, "chat/room.html", {"room": room})
    response["Content-Security-Policy"] = _POLICY
    return response
