"""serializers.py: what a message may hold, how it comes back, and how it is refused.

What holds for a whole layer is shown by the conformance tests; here stand the corners.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import math
import subprocess
import sys
from collections import OrderedDict, namedtuple
from enum import Enum, IntEnum
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_shm.errors import SegmentCorrupt, SerializationError
from asgi_shm.serializers import pack, unpack

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
MESSAGES = st.dictionaries(st.text(), VALUES)

# Each a value that is refused, and what is said of it.
REFUSED = [
    (dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc), "datetime.datetime"),
    ({1, 2}, "set"),
    (object(), "object"),
    (1j, "complex"),
    (bytearray(b"x"), "bytearray"),
    (memoryview(b"x"), "memoryview"),
    (memoryview(b"xyz")[::2], "memoryview"),
    (msgpack.Timestamp(1), "Timestamp"),
    (msgpack.ExtType(1, b"x"), "ExtType"),
    (2**63, "64 bits"),
    (2**64 - 1, "64 bits"),
    (2**64, "64 bits"),
    (2**100, "64 bits"),
    (-(2**63) - 1, "64 bits"),
    ("\ud800", "surrogate"),
    ({1: 2}, "the key 1 is int"),
    ({b"k": 2}, "the key b'k' is bytes"),
    ({None: 2}, "the key None is NoneType"),
    ({True: 2}, "the key True is bool"),
    ({("a",): 2}, "the key ('a',) is tuple"),
    ({"\udfff": 2}, "surrogate"),
]


def refusal(message: Any) -> SerializationError:
    with pytest.raises(SerializationError) as error:
        pack(message)
    return error.value


@given(MESSAGES)
def test_what_is_packed_comes_back(message):
    assert unpack(pack(message)) == message


@given(MESSAGES, st.sampled_from(REFUSED), st.data())
def test_what_is_refused_is_refused_wherever_it_stands(message, refused, data):
    value, problem = refused
    path = "message"
    container: Any = message
    for _ in range(data.draw(st.integers(0, 3))):
        if data.draw(st.booleans()):
            container["here"] = inner = {}
            container, path = inner, f"{path}['here']"
        else:
            container["here"] = inner = [0, {}]
            container, path = inner[1], f"{path}['here'][1]"
    container["bad"] = value

    error = refusal(message)
    assert problem in error.problem
    assert error.path == f"{path}['bad']"


def test_types_come_back_as_they_were():
    values = [None, True, False, 0, 1, 1.0, -0.0, "", b"", "x", b"x", [], {}]
    again = unpack(pack({"values": values}))["values"]

    assert again == values
    assert [type(value) for value in again] == [type(value) for value in values]
    assert math.copysign(1, again[6]) == -1


def test_not_a_number_comes_back():
    assert math.isnan(unpack(pack({"v": math.nan}))["v"])


@pytest.mark.parametrize("value", [-(2**63), -1, 0, 2**32, 2**63 - 1])
def test_integers_of_64_bits(value):
    assert unpack(pack({"v": value})) == {"v": value}


def test_subclasses_count_as_what_they_derive_from():
    class Text(str):
        __slots__ = ()

    class Colour(str, Enum):
        RED = "red"

    class Level(IntEnum):
        HIGH = 3

    class Number(float):
        __slots__ = ()

    class Blob(bytes):
        __slots__ = ()

    point = namedtuple("point", "x y")  # noqa: PYI024 - untyped ones count as well
    message = OrderedDict(
        [
            (Text("text"), Text("value")),
            (Colour.RED, Colour.RED),
            ("level", Level.HIGH),
            ("number", Number(0.5)),
            ("blob", Blob(b"x")),
            ("point", point(1, (2,))),
        ]
    )
    again = unpack(pack(message))

    assert again == {
        "text": "value",
        "red": "red",
        "level": 3,
        "number": 0.5,
        "blob": b"x",
        "point": [1, [2]],
    }
    assert type(again) is dict
    assert [type(value) for value in again.values()] == [str, str, int, float, bytes, list]


def test_bytes_beside_containers_are_still_told_from_other_buffers():
    assert unpack(pack({"a": b"x", "b": [{"c": b"y"}]})) == {"a": b"x", "b": [{"c": b"y"}]}
    assert refusal({"a": b"x", "b": [{"c": bytearray(b"y")}]}).path == "message['b'][0]['c']"


@pytest.mark.parametrize("message", [None, 1, "text", b"bytes", [], [("a", 1)], (), object()])
def test_a_message_is_a_dict(message):
    error = refusal(message)

    assert error.path == "message"
    assert "a message is a dict" in error.problem


def test_the_first_of_several_is_named():
    assert refusal({"a": 1, "b": [0, {2}], "c": {3}}).path == "message['b'][1]"


def test_what_holds_itself():
    circle: list[Any] = [1]
    circle.append(circle)
    table: dict[str, Any] = {}
    table["self"] = table

    assert refusal({"v": circle}).path == "message['v'][1]"
    assert "holds itself" in refusal({"v": circle}).problem
    assert refusal(table).path == "message['self']"


def test_the_same_value_twice_is_no_circle():
    same = [1]

    assert unpack(pack({"a": same, "b": [same, same]})) == {"a": [1], "b": [[1], [1]]}


def nested(depth: int) -> dict[str, Any]:
    value: Any = "bottom"
    for _ in range(depth):
        value = [value]
    return {"v": value}


def test_deep_nesting():
    assert unpack(pack(nested(500))) == nested(500)


def test_too_deep_nesting_is_said_briefly():
    error = refusal(nested(600))

    assert "nested more than 511 deep" in error.problem
    assert error.path.startswith("message['v'][0][0]")
    assert len(error.path) < 200


def test_a_path_shortens_long_keys():
    assert len(refusal({"k" * 10_000: object()}).path) < 100


def test_an_enum_in_a_path_is_its_value():
    class Colour(str, Enum):
        RED = "red"

    assert refusal({Colour.RED: object()}).path == "message['red']"


def test_packing_within_packing():
    # An items() in Python runs in the middle of packing, and may do anything.
    class Reentrant(dict):  # type: ignore[type-arg]
        def items(self):
            assert unpack(pack({"inner": 1})) == {"inner": 1}
            return super().items()

    assert unpack(pack({"a": Reentrant(b=1), "c": 2})) == {"a": {"b": 1}, "c": 2}


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_is_unpacked(kind):
    assert unpack(kind(pack({"v": b"x"}))) == {"v": b"x"}


@given(st.binary())
def test_bytes_that_nobody_packed_are_a_corrupt_segment_or_a_dict(body):
    with contextlib.suppress(SegmentCorrupt):
        assert type(unpack(body)) is dict


def test_msgpack_without_its_c_extension_does_the_same():
    program = """
import os
os.environ["MSGPACK_PUREPYTHON"] = "1"
import pytest
from asgi_shm.errors import SerializationError
from asgi_shm.serializers import pack, unpack
from msgpack import Packer
assert Packer.__module__ == "msgpack.fallback"
message = {"type": "t", "v": [1, 2**63 - 1, 0.5, b"x", {"k": None}, (True,)]}
assert unpack(pack(message)) == {**message, "v": [*message["v"][:-1], [True]]}
for bad in ({1: 2}, {"a": 2**63}, {"a": {1}}, {"a": bytearray(1)}, {"a": "\\ud800"}):
    with pytest.raises(SerializationError):
        pack(bad)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
