"""GroupWatch: what happens in a group, one event after another, for threads."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from ._base import check_timeout
from ._blocking import BlockingReceiver, GroupWatcher

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from ._presence import GroupEvent

__all__ = ["GroupWatch"]


class GroupWatch:
    """An iterator of what happens in a group: see `SyncShmChannelLayer.watch_group`.

    In a ``with`` statement it is closed at the end; one that is garbage watches no more.
    Threads may share it: each event goes to one of them.
    """

    def __init__(self, receiver: BlockingReceiver, group: str) -> None:
        """Watch nothing yet: the first event is waited for."""
        self._receiver = receiver
        self._watcher = GroupWatcher(group)
        # Not at exit: other threads may be inside, and the kernel knows who is gone.
        weakref.finalize(self, receiver.watchers.forget, self._watcher).atexit = False

    def get(self, timeout: float | None = None) -> GroupEvent | None:
        """Return the next event; None if there is none for `timeout` seconds, or after a close.

        Without a `timeout` it waits for ever. Nothing that ends the wait, such as a
        KeyboardInterrupt, ends the iterator. Raises LayerClosed; LockTimeout; ConfigError for a
        timeout that is no number.
        """
        if timeout is not None:
            check_timeout(timeout)
        return self._receiver.wait_for_event(self._watcher, timeout)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> GroupEvent:
        event = self.get()
        if event is None:
            raise StopIteration
        return event

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Watch no more, and end the waits of other threads. A second close does nothing."""
        self._receiver.end_watch(self._watcher)
