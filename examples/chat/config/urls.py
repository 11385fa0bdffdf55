"""The pages of the example. Its websocket route stands in `asgi.py`."""

from chat import views
from django.urls import path

urlpatterns = [
    path("", views.lobby),
    path("go/", views.go, name="go"),
    path("room/<room:room>/", views.room, name="room"),
]
