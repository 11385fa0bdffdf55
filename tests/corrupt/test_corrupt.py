"""What a damaged segment does to those who use it.

ASHM_CORRUPT_ROUNDS=100000 asks for more rounds of random damage.
"""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest

from asgi_shm.segment import object_path
from tests.corrupt.image import (
    MIB,
    PAGE,
    ZEROS,
    Image,
    scribble,
    take_image,
    with_word,
    word_values,
)
from tests.corrupt.victim import bear

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BATCH = 120
BATCHES = range(1 + int(os.environ.get("ASHM_CORRUPT_ROUNDS", "0")) // BATCH)


class Lab:
    """Puts damaged images in the place of a segment, and lets a process use them."""

    def __init__(self, prefix: str, keep: Path) -> None:
        self.image: Image = take_image(prefix)
        self.prefix = prefix
        self.path = object_path(prefix)
        self.keep = keep

    def replace(self, data: bytes | bytearray) -> None:
        """Another object under the name, as a process finds it that comes now."""
        self.path.unlink(missing_ok=True)
        for path in self.path.parent.glob(f"{self.path.name}:bell*"):
            path.unlink()
        with self.path.open("wb") as file:
            for at in range(0, len(data), PAGE):
                page = data[at : at + PAGE]
                if page != ZEROS:
                    file.seek(at)
                    file.write(page)
            file.truncate(len(data))

    def write(self, data: bytes | bytearray) -> None:
        """The same object with other bytes."""
        with self.path.open("r+b") as file:
            file.write(data)

    def check(self, data: bytes | bytearray, damage: Callable[[], None] | None = None) -> None:
        self.replace(data)
        problem = bear(self.prefix, self.image.own, damage)
        if problem:
            kept = self.keep / "segment"
            kept.write_bytes(data)
            pytest.fail(f"{problem}\nthe segment: {kept}")


@pytest.fixture
def lab(prefix: str, tmp_path: Path) -> Lab:
    return Lab(prefix, tmp_path)


def test_the_image_itself_is_sound(lab: Lab) -> None:
    lab.check(lab.image.data)


def test_each_word_of_the_header(lab: Lab) -> None:
    rng = random.Random(1)
    for at in lab.image.header_words():
        old = int.from_bytes(lab.image.data[at : at + 4], "little")
        for value in rng.sample(list(word_values(old, rng)), 2):
            lab.check(with_word(lab.image.data, at, value))


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("attached", [False, True])
def test_random_words_of_pages_in_use(lab: Lab, *, attached: bool, batch: int) -> None:
    rng = random.Random(2 * batch + attached)
    pages = lab.image.used_pages()
    for _ in range(BATCH):
        damaged = scribble(lab.image, pages, rng)
        if attached:
            lab.check(lab.image.data, lambda data=damaged: lab.write(data))
        else:
            lab.check(damaged)


def test_a_segment_of_zeros(lab: Lab) -> None:
    lab.check(bytes(len(lab.image.data)))


def test_zeros_under_the_feet_of_who_is_attached(lab: Lab) -> None:
    lab.check(lab.image.data, lambda: lab.write(bytes(len(lab.image.data))))


@pytest.mark.parametrize("size", [0, 1, 100, PAGE, 3 * PAGE, MIB, -PAGE, -1])
def test_truncated_before_it_is_opened(lab: Lab, size: int) -> None:
    lab.check(lab.image.data[:size])


@pytest.mark.parametrize("more", [1, PAGE, MIB])
def test_grown(lab: Lab, more: int) -> None:
    lab.check(lab.image.data + b"\xff" * more)
    lab.check(lab.image.data, lambda: lab.write(lab.image.data + b"\xff" * more))


@pytest.mark.parametrize("other", [b"", b"garbage", None])
def test_replaced_under_the_feet_of_who_is_attached(lab: Lab, other: bytes | None) -> None:
    data = lab.image.data if other is None else other
    lab.check(lab.image.data, lambda: lab.replace(data))


def test_removed_under_the_feet_of_who_is_attached(lab: Lab) -> None:
    lab.check(lab.image.data, lab.path.unlink)
