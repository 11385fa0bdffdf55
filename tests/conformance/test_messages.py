"""Messages: what they may hold, how large they may be, and whose they are ("Messages")."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import json
import math
import uuid
from collections import Counter, OrderedDict, defaultdict
from typing import Any, NamedTuple

import pytest

from tests.support import receive_nowait, soon

MEGABYTE = 1024 * 1024


async def through(layer: Any, value: Any) -> Any:
    """A value as it comes out at the other end."""
    await layer.send("channel", {"type": "test", "value": value})
    return (await soon(layer.receive("channel")))["value"]


VALUES: list[Any] = [
    b"",
    b"bytes",
    bytes(range(256)),
    "",
    "text",
    "ünï☃\U0001f600\x00",
    0,
    1,
    -1,
    2**31,
    2**32,
    2**63 - 1,
    -(2**63),
    0.0,
    1.5,
    5e-324,
    1.7976931348623157e308,
    math.inf,
    -math.inf,
    [],
    [1, "two", b"three", 4.0, None, True],
    {},
    {"": "", "key": {"nested": [{}]}},
    True,
    False,
    None,
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
async def test_every_type_arrives_as_it_was(layer, value):
    arrived = await through(layer, value)

    assert arrived == value
    assert type(arrived) is type(value)


async def test_not_a_number_and_minus_zero_arrive(layer):
    assert math.isnan(await through(layer, math.nan))
    assert math.copysign(1, await through(layer, -0.0)) == -1


async def test_bytes_and_text_are_told_apart(layer):
    assert await through(layer, [b"same", "same"]) == [b"same", "same"]


async def test_true_is_not_one(layer):
    arrived = await through(layer, [True, 1, 1.0])

    assert [type(item) for item in arrived] == [bool, int, float]


async def test_an_empty_message_is_a_message(layer):
    await layer.send("channel", {})

    assert await soon(layer.receive("channel")) == {}


async def test_the_order_of_keys_is_kept(layer):
    arrived = await through(layer, {"z": 1, "a": 2, "m": 3})

    assert list(arrived) == ["z", "a", "m"]


async def test_nesting(layer):
    value: Any = "bottom"
    for depth in range(100):
        value = [value] if depth % 2 else {"deeper": value}

    assert await through(layer, value) == value


@pytest.mark.in_memory_differs("it copies where the specification says encode")
async def test_tuples_arrive_as_lists(layer):
    assert await through(layer, (1, (2, [3, ()]))) == [1, [2, [3, []]]]


class Colour(str, enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class SafeString(str):
    """As Django's mark_safe() gives."""

    __slots__ = ()


class Blob(bytes):
    pass


class Ratio(float):
    pass


class Point(NamedTuple):
    x: int
    y: int


@pytest.mark.in_memory_differs("it copies where the specification says encode")
@pytest.mark.parametrize(
    ("value", "arrives"),
    [
        (SafeString("<b>"), "<b>"),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (Blob(b"blob"), b"blob"),
        (Ratio(0.5), 0.5),
        (Point(1, 2), [1, 2]),
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (defaultdict(list, k=[1]), {"k": [1]}),
        (Counter("aab"), {"a": 2, "b": 1}),
        ({SafeString("key"): SafeString("value")}, {"key": "value"}),
        ({Colour.RED: 1}, {"red": 1}),
        ([(SafeString("deep"), (Level.HIGH,))], [["deep", [3]]]),
    ],
    ids=repr,
)
async def test_a_subclass_counts_as_what_it_derives_from(layer, value, arrives):
    arrived = await through(layer, value)

    assert arrived == arrives
    assert type(arrived) is type(arrives)


@pytest.mark.in_memory_differs("it copies where the specification says encode")
async def test_a_message_may_be_a_subclass_of_dict(layer):
    await layer.send("channel", OrderedDict(type="test"))

    assert type(await soon(layer.receive("channel"))) is dict


CIRCULAR: list[Any] = []
CIRCULAR.append(CIRCULAR)

REFUSED: list[Any] = [
    dt.datetime(2024, 1, 1),  # noqa: DTZ001 -- a naive one
    dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc),
    dt.date(2024, 1, 1),
    dt.timedelta(1),
    decimal.Decimal("1.5"),
    uuid.UUID(int=0),
    {1, 2},
    frozenset(),
    2**63,
    2**64 - 1,
    2**64,
    -(2**63) - 1,
    1j,
    object(),
    Ellipsis,
    range(3),
    (item for item in ()),
    bytearray(b"x"),
    memoryview(b"x"),
    "\ud800",
    CIRCULAR,
]


@pytest.mark.in_memory_differs("it copies whatever can be copied")
@pytest.mark.parametrize("value", REFUSED, ids=lambda value: type(value).__name__)
async def test_what_cannot_be_serialized_fails_at_send_with_its_path(layer, value):
    message = {"type": "test", "user": {"items": [0, {"when": value}]}}
    for operation in (layer.send("channel", message), layer.group_send("group", message)):
        with pytest.raises(TypeError) as error:
            await operation
        assert "message['user']['items'][1]['when']" in str(error.value)


@pytest.mark.in_memory_differs("it copies whatever can be copied")
@pytest.mark.parametrize("key", [1, None, b"key", ("a",), 1.5, True], ids=repr)
async def test_a_key_that_is_no_string_fails_at_send_with_its_path(layer, key):
    for message in ({key: 1}, {"type": "test", "deep": [{"ok": 1, key: 2}]}):
        with pytest.raises(TypeError) as error:
            await layer.send("channel", message)
        assert repr(key) in str(error.value)
        assert "message" in str(error.value)


@pytest.mark.in_memory_differs("it asserts")
@pytest.mark.parametrize("message", [None, [], "text", b"bytes", 1, [("type", "x")]], ids=repr)
async def test_a_message_is_a_dict(layer, message):
    with pytest.raises(TypeError, match="dict"):
        await layer.send("channel", message)
    with pytest.raises(TypeError, match="dict"):
        await layer.group_send("group", message)


@pytest.mark.in_memory_differs("it copies whatever can be copied")
async def test_a_refused_message_changes_nothing(layer):
    await layer.group_add("group", "member")
    with pytest.raises(TypeError):
        await layer.send("channel", {"bad": object()})
    with pytest.raises(TypeError):
        await layer.group_send("group", {"bad": object()})

    assert await receive_nowait(layer, "channel") is None
    assert await receive_nowait(layer, "member") is None


async def test_the_message_is_taken_as_it_is_at_send(layer):
    message = {"type": "test", "items": [1]}
    await layer.send("channel", message)
    message["items"].append(2)  # type: ignore[attr-defined]
    message["more"] = True

    assert await soon(layer.receive("channel")) == {"type": "test", "items": [1]}


async def test_the_message_of_the_sender_is_left_alone(layer):
    message = {"type": "test", "items": (1, [2])}
    await layer.send("channel", message)

    assert message == {"type": "test", "items": (1, [2])}


async def test_every_receiver_of_a_group_has_a_dict_of_its_own(layer):
    for member in ("one", "two"):
        await layer.group_add("group", member)
    await layer.group_send("group", {"type": "test", "items": []})

    first, second = await soon(layer.receive("one")), await soon(layer.receive("two"))
    first["items"].append("mine")
    first["type"] = "changed"
    assert second == {"type": "test", "items": []}


def of_json_size(kind: str) -> dict[str, Any]:
    """A message of 1 MB as JSON, to within a few bytes."""
    room = MEGABYTE - len(json.dumps({"v": ""}))
    value: Any = {
        "text": "x" * room,
        "escaped text": "\x01" * (room // 6),
        "short floats": [0.5] * (room // 4),
        "short integers": [7] * (room // 2),
        "empty lists": [[]] * (room // 3),
        "short keys": {f"{number:06d}": 0 for number in range(room // 11)},
        "deep": [[1]] * (room // 4),
    }[kind]
    message = {"v": value}
    size = len(json.dumps(message, separators=(",", ":")))
    assert MEGABYTE - 100 < size <= MEGABYTE
    return message


@pytest.mark.parametrize(
    "content",
    [
        "text",
        "escaped text",
        "short floats",
        "short integers",
        "empty lists",
        "short keys",
        "deep",
    ],
)
async def test_one_megabyte_as_json(layer, content):
    message = of_json_size(content)
    await layer.group_add("group", "member")
    await layer.send("channel", message)
    await layer.group_send("group", message)

    assert await soon(layer.receive("channel")) == message
    assert await soon(layer.receive("member")) == message


async def test_one_megabyte_of_bytes(layer):
    assert await through(layer, bytes(range(256)) * 4096) == bytes(range(256)) * 4096


@pytest.mark.in_memory_differs("it knows no limit")
async def test_a_message_beyond_the_limit_is_refused_and_the_limit_named(make_layer):
    layer = make_layer(max_message_size=1000)
    await layer.group_add("group", "channel")
    message = {"type": "test", "text": "x" * 1000}
    for operation in (layer.send("channel", message), layer.group_send("group", message)):
        with pytest.raises(layer.MessageTooLarge) as error:
            await operation
        assert "max_message_size" in str(error.value)
        assert "1000" in str(error.value)

    assert await receive_nowait(layer, "channel") is None


@pytest.mark.in_memory_differs("it knows no limit")
async def test_a_message_of_exactly_the_limit_passes(make_layer):
    layer = make_layer(max_message_size=1000)
    # A map of one, a key of one byte, and a byte string with a length of 16 bits.
    overhead = 1 + 2 + 3
    await layer.send("channel", {"v": b"x" * (1000 - overhead)})
    with pytest.raises(layer.MessageTooLarge):
        await layer.send("channel", {"v": b"x" * (1001 - overhead)})

    assert await soon(layer.receive("channel")) == {"v": b"x" * (1000 - overhead)}


@pytest.mark.parametrize(
    "size", [0, 1, 31, 32, 255, 256, 2000, 2048, 4090, 4096, 5000, 65535, 65536]
)
async def test_every_size_arrives_whole(layer, size):
    body = bytes(index * 7 % 251 for index in range(size))

    assert await through(layer, body) == body
