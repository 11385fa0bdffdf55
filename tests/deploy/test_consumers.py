"""Every kind of consumer, through channels.testing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from channels.consumer import AsyncConsumer, SyncConsumer
from channels.generic.http import AsyncHttpConsumer
from channels.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)
from channels.layers import get_channel_layer
from channels.testing import ApplicationCommunicator, HttpCommunicator, WebsocketCommunicator

from tests.support import TIMEOUT


class AsyncText(AsyncWebsocketConsumer):
    groups = ("room",)

    async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
        await self.channel_layer.group_send("room", {"type": "said", "text": text_data})

    async def said(self, event: Any) -> None:
        await self.send(text_data=event["text"])


class SyncText(WebsocketConsumer):
    groups = ("room",)

    def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
        async_to_sync(self.channel_layer.group_send)(
            "room", {"type": "said", "text": text_data}
        )

    def said(self, event: Any) -> None:
        self.send(text_data=event["text"])


class AsyncJson(AsyncJsonWebsocketConsumer):
    async def connect(self) -> None:
        await self.channel_layer.group_add("room", self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard("room", self.channel_name)

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.channel_layer.group_send("room", {"type": "said", "text": content["text"]})

    async def said(self, event: Any) -> None:
        await self.send_json({"text": event["text"]})


class SyncJson(JsonWebsocketConsumer):
    def connect(self) -> None:
        async_to_sync(self.channel_layer.group_add)("room", self.channel_name)
        self.accept()

    def disconnect(self, code: int) -> None:
        async_to_sync(self.channel_layer.group_discard)("room", self.channel_name)

    def receive_json(self, content: Any, **kwargs: Any) -> None:
        message = {"type": "said", "text": content["text"]}
        async_to_sync(self.channel_layer.group_send)("room", message)

    def said(self, event: Any) -> None:
        self.send_json({"text": event["text"]})


class AsyncWorker(AsyncConsumer):
    async def double(self, event: Any) -> None:
        answer = {"type": "answer", "number": 2 * event["number"]}
        await self.channel_layer.send(event["to"], answer)

    async def named(self, event: Any) -> None:
        await self.send({"type": "name", "name": self.channel_name})


class SyncWorker(SyncConsumer):
    def double(self, event: Any) -> None:
        answer = {"type": "answer", "number": 2 * event["number"]}
        async_to_sync(self.channel_layer.send)(event["to"], answer)

    def named(self, event: Any) -> None:
        self.send({"type": "name", "name": self.channel_name})


class Poll(AsyncHttpConsumer):
    """Answers when a message comes through the layer: long polling."""

    async def handle(self, body: bytes) -> None:
        await self.channel_layer.group_add("polls", self.channel_name)
        await self.channel_layer.group_send("ready", {"type": "ready"})

    async def http_request(self, message: Any) -> None:
        await self.handle(message.get("body", b""))

    async def news(self, event: Any) -> None:
        await self.send_response(200, event["text"].encode())
        await self.http_disconnect({})


async def connected(consumer: Any) -> WebsocketCommunicator:
    communicator = WebsocketCommunicator(consumer.as_asgi(), "/")
    assert (await communicator.connect(TIMEOUT))[0]
    return communicator


@pytest.mark.parametrize("one", [AsyncText, SyncText])
@pytest.mark.parametrize("two", [AsyncText, SyncText])
async def test_websockets_talk_through_a_group(channel_layer, one, two):
    first, second = await connected(one), await connected(two)
    for number in range(20):
        speaker = (first, second)[number % 2]
        await speaker.send_to(text_data=f"line {number}")
        for listener in (first, second):
            assert await listener.receive_from(TIMEOUT) == f"line {number}"
    for communicator in (first, second):
        await communicator.disconnect(timeout=TIMEOUT)


@pytest.mark.parametrize("consumer", [AsyncJson, SyncJson])
async def test_who_disconnects_leaves_the_group(channel_layer, consumer):
    first, second = await connected(consumer), await connected(consumer)
    await first.send_json_to({"text": "to both"})
    for listener in (first, second):
        assert await listener.receive_json_from(TIMEOUT) == {"text": "to both"}
    await second.disconnect(timeout=TIMEOUT)
    assert channel_layer._attachment.info().memberships == 1
    await first.send_json_to({"text": "alone"})
    assert await first.receive_json_from(TIMEOUT) == {"text": "alone"}
    await first.disconnect(timeout=TIMEOUT)

    assert channel_layer._attachment.info().memberships == 0


@pytest.mark.parametrize("consumer", [AsyncWorker, SyncWorker])
async def test_a_worker_consumer_answers_by_name(channel_layer, consumer):
    scope = {"type": "channel", "channel": "work"}
    communicator = ApplicationCommunicator(consumer.as_asgi(), scope)
    own = await channel_layer.new_channel()
    for number in range(10):
        await communicator.send_input({"type": "double", "number": number, "to": own})
        answer = await asyncio.wait_for(channel_layer.receive(own), TIMEOUT)
        assert answer == {"type": "answer", "number": 2 * number}
    communicator.stop()


@pytest.mark.parametrize("consumer", [AsyncWorker, SyncWorker])
async def test_a_consumer_is_reached_at_its_channel_name(channel_layer, consumer):
    communicator = ApplicationCommunicator(consumer.as_asgi(), {"type": "test"})
    await communicator.send_input({"type": "named"})
    name = (await communicator.receive_output(TIMEOUT))["name"]
    await get_channel_layer().send(name, {"type": "named"})

    assert await communicator.receive_output(TIMEOUT) == {"type": "name", "name": name}
    communicator.stop()


async def test_a_request_that_waits_for_news(channel_layer):
    own = await channel_layer.new_channel()
    await channel_layer.group_add("ready", own)
    communicator = HttpCommunicator(Poll.as_asgi(), "GET", "/")
    response = asyncio.create_task(communicator.get_response(TIMEOUT))
    await asyncio.wait_for(channel_layer.receive(own), TIMEOUT)
    await channel_layer.group_send("polls", {"type": "news", "text": "fresh"})

    assert (await response)["body"] == b"fresh"
