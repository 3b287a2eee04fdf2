"""Threads for pieces of work that wait for a database or a network, each of them in hand at most once in this process."""

import threading
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Generic, TypeVar

from django.conf import settings
from django.db import close_old_connections, connection

Key = TypeVar("Key", bound=Hashable)


class WorkPool(Generic[Key]):
    """A piece of work is named by a key; several may belong to a group, such as the receiver they go to."""

    def __init__(self, name: str, *, threads: int) -> None:
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix=name)
        self._group_of: dict[Key, Hashable] = {}
        self._lock = threading.Lock()
        self._is_closing = False
        self._thread = threading.local()  # `key`: what this thread is at

    def hand_over(self, key: Key, work: Callable[[], object], *, group: Hashable = None, most: int) -> bool:
        """Have a thread do it. False where it is in hand already, `most` of its group are, or the pool is closed."""
        with self._lock:
            fellows = sum(one == group for one in self._group_of.values())
            if self._is_closing or key in self._group_of or fellows >= most:
                return False
            self._group_of[key] = group
            waiting = self._threads.submit(self._do, key, work)
        waiting.add_done_callback(partial(self._let_go_of_what_never_began, key))
        return True

    def go_on_with(self, keys: Iterable[Key]) -> Key | None:
        """For work of this pool: the first of `keys` that nobody has in hand, now in hand in place of what is done."""
        with self._lock:
            for key in keys:
                if key not in self._group_of and not self._is_closing:
                    self._group_of[key] = self._group_of.pop(self._thread.key)
                    self._thread.key = key
                    return key
        return None

    def in_hand(self) -> list[Key]:
        """What has a thread, or waits for one."""
        with self._lock:
            return list(self._group_of)

    def close(self) -> None:
        """Take nothing up any more. What has begun goes on to its end; what only waits for a thread is dropped."""
        with self._lock:
            self._is_closing = True
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _do(self, key: Key, work: Callable[[], object]) -> None:
        self._thread.key = key
        try:
            close_old_connections()
            work()
        finally:
            if not settings.SQLITE:  # each thread would keep one of the server's few connections
                connection.close()
            self._let_go(self._thread.key)

    def _let_go(self, key: Key) -> None:
        with self._lock:
            self._group_of.pop(key, None)

    def _let_go_of_what_never_began(self, key: Key, ended: Future[None]) -> None:
        if ended.cancelled():
            self._let_go(key)
