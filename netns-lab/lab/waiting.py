"""Waiting for a condition, never for time to pass."""

import time
from typing import Callable, TypeVar

Value = TypeVar("Value")

POLL_INTERVAL_S = 0.02


def poll_until(
    view: Callable[[], Value], accept: Callable[[Value], bool], within: float
) -> Value:
    """Looks at `view` until `accept` likes it or `within` seconds have passed.

    Returns what was seen last, liked or not: the caller decides what that means.
    """
    deadline = time.monotonic() + within
    while True:
        value = view()
        if accept(value) or time.monotonic() >= deadline:
            return value
        time.sleep(POLL_INTERVAL_S)
