"""Tests written as coroutines, each in an event loop of its own that must end with nothing left in it."""

from __future__ import annotations

import asyncio
import functools
import gc
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec

P = ParamSpec("P")
LIMIT = 60.0  # seconds: a scenario that hangs is a failure, not a stuck run


def scenario(function: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a coroutine function as a test; transports and pipes that it forgot become warnings, and those errors."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(asyncio.wait_for(function(*args, **kwargs), LIMIT))
        gc.collect()

    return run


async def eventually(condition: Callable[[], bool], within: float = 20.0) -> bool:
    """Whether `condition` came true within so many seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while not condition():
        if loop.time() > deadline:
            return False
        await asyncio.sleep(0.01)
    return True


async def seconds(work: Awaitable[object]) -> float:
    """How long `work` takes."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await work
    return loop.time() - began
