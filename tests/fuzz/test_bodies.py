"""body.c and msgpack agree on what a body is."""

from __future__ import annotations

import msgpack
from hypothesis import example, given
from hypothesis import strategies as st

from asgi_shm._ashm import lib
from tests.fuzz.msgpack_says import BAD, BYTES, DEPTH_MAX, GOOD, verdict

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=40)
    | st.binary(max_size=40)
    | st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=20))
    | st.just(msgpack.Timestamp(1, 2)),
    lambda inner: (
        st.lists(inner, max_size=20)
        | st.dictionaries(st.text(max_size=5) | st.binary(max_size=5), inner, max_size=18)
    ),
    max_leaves=20,
)
MESSAGES = st.dictionaries(st.text(max_size=5), VALUES, max_size=18)
EDITS = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=3)


def nested(depth: int) -> bytes:
    return b"\x81\xa1v" * (depth - 1) + b"\x80"


@given(MESSAGES, EDITS, st.none() | st.integers(0, 100))
@example({"b": b""}, [], None)
@example({"e": msgpack.ExtType(1, b"x")}, [], None)
def test_of_whatever_is_like_a_body(message, edits, cut):
    body = bytearray(msgpack.packb(message)[:cut])
    for at, value in edits:
        if body:
            body[at % len(body)] = value

    assert lib.ashm_check_body(bytes(body), len(body)) == verdict(bytes(body))


@given(st.binary(max_size=60))
def test_of_anything(body):
    assert lib.ashm_check_body(b"\x82" + body, len(body) + 1) == verdict(b"\x82" + body)


def test_of_depth():
    for depth, expected in ((DEPTH_MAX, GOOD), (DEPTH_MAX + 1, BAD)):
        body = nested(depth)
        assert lib.ashm_check_body(body, len(body)) == verdict(body) == expected


def test_of_keys_that_are_there_twice():
    body = b"\x82\xa1v\xc4\x00\xa1v\x01"
    assert lib.ashm_check_body(body, len(body)) == verdict(body) == BYTES
