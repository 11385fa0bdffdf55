"""The future that waits for a channel is one to asyncio, and to who wakes it."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import traceback
import weakref
from asyncio import tasks
from typing import Any

import pytest

from asgi_shm._calls import Future, Watch, run

# The task that is written in Python calls what the other one may not.
TASKS: list[Any] = [tasks.Task, tasks._PyTask]  # type: ignore[attr-defined]


async def awaiting(future):
    return await future


async def begin(make_task=tasks.Task):
    """A future, and a task that awaits it."""
    loop = asyncio.get_running_loop()
    future = Future(loop)
    task = make_task(awaiting(future), loop=loop)
    await asyncio.sleep(0)
    return future, task


@pytest.mark.parametrize("make_task", TASKS)
def test_a_task_awaits_it(make_task):
    async def main():
        future, task = await begin(make_task)
        assert asyncio.isfuture(future)
        assert not future.done()
        future.set_result(None)
        assert not task.done()  # in the next round
        assert await task is None
        assert future.done()
        assert not future.cancelled()
        assert await future is None

    asyncio.run(main())


@pytest.mark.parametrize("make_task", TASKS)
def test_a_task_gets_its_exception(make_task):
    async def main():
        future, task = await begin(make_task)
        future.set_exception(ValueError("of the test"))
        with pytest.raises(ValueError, match="of the test"):
            await task
        with pytest.raises(ValueError, match="of the test"):
            future.result()

    asyncio.run(main())


@pytest.mark.parametrize("make_task", TASKS)
@pytest.mark.parametrize("message", [None, "because", ("of", "this")])
def test_its_task_is_cancelled(make_task, message):
    async def main():
        future, task = await begin(make_task)
        assert task.cancel(message)
        assert future.cancelled()
        assert future.done()
        assert future.cancel() is False
        assert not task.done()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(asyncio.CancelledError) as caught:
            future.result()
        assert caught.value.args == (() if message is None else (message,))

    asyncio.run(main())


@pytest.mark.parametrize("make_task", TASKS)
def test_its_task_was_cancelled_before(make_task):
    async def main():
        loop = asyncio.get_running_loop()
        future = Future(loop)
        task = make_task(awaiting(future), loop=loop)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not future.done()

    asyncio.run(main())


def test_of_another_loop_it_is_refused():
    async def main():
        other = asyncio.new_event_loop()
        try:
            with pytest.raises(RuntimeError, match="different loop"):
                await asyncio.create_task(awaiting(Future(other)))
        finally:
            other.close()

    asyncio.run(main())


def test_it_serves_one_task_once():
    async def main():
        context = contextvars.copy_context()
        future = Future(asyncio.get_running_loop())
        calls = []
        future.add_done_callback(calls.append, context=context)
        with pytest.raises(RuntimeError, match="another task"):
            future.add_done_callback(calls.append, context=context)
        with pytest.raises(asyncio.InvalidStateError):
            future.result()
        future.set_result(None)
        for again in (lambda: future.set_result(None), lambda: future.set_exception(OSError())):
            with pytest.raises(asyncio.InvalidStateError):
                again()
        await asyncio.sleep(0)
        future.add_done_callback(calls.append, context=context)  # too late, and called as well
        await asyncio.sleep(0)
        assert calls == [future, future]

    asyncio.run(main())


def test_who_is_cancelled_leaves_no_cycle():
    async def main():
        future, task = await begin()
        task.cancel()
        await asyncio.wait([task])
        frame = weakref.ref(task.get_coro())
        del future, task
        await asyncio.sleep(0)
        return frame()

    gc.disable()
    try:
        assert asyncio.run(main()) is None
    finally:
        gc.enable()


def test_one_error_of_many_has_the_traceback_of_one():
    async def main(count):
        begun = [await begin() for _ in range(count)]
        error = OSError("of all")
        for future, _ in begun:
            future.set_exception(error)
        await asyncio.wait([task for _, task in begun])
        return len(traceback.extract_tb(error.__traceback__))

    assert asyncio.run(main(20)) == asyncio.run(main(1)) > 0


@pytest.mark.parametrize(
    "wrong",
    [
        lambda future: Future(),  # type: ignore[call-arg]
        lambda future: Future(None, None),  # type: ignore[call-arg, arg-type]
        lambda future: type("Sub", (Future,), {}),
        lambda future: future.set_result(1),
        lambda future: future.set_exception(OSError),
        lambda future: future.add_done_callback(print),
        lambda future: future.cancel("a", "b"),
        run,
        lambda future: run(Watch()),
    ],
)
def test_arguments_have_their_types_and_number(wrong):
    future = Future(object())  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        wrong(future)
    assert not future.done()


def test_the_garbage_collector_sees_what_it_holds():
    class Loop:
        pass

    loop: Any = Loop()
    loop.future = Future(loop)
    loop.future.add_done_callback(loop.__class__, context=contextvars.copy_context())
    gone = weakref.ref(loop)
    del loop
    gc.collect()
    assert gone() is None
