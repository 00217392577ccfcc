"""What RabbitMQ's drivers raise, listed once."""

import asyncio
import contextlib
from collections.abc import Iterator

from aio_pika.exceptions import AMQPError

from flickrhub_common.errors import Unavailable

BROKER_ERRORS = (AMQPError, OSError, TimeoutError, RuntimeError)
"""What the drivers raise when RabbitMQ is away, slow or going (a closed channel is a RuntimeError of aiormq's)."""


@contextlib.contextmanager
def driver_cancellations() -> Iterator[None]:
    """Turn a CancelledError that is the driver's own into one of BROKER_ERRORS.

    With it the driver ends whoever waits for an answer on a connection that ends. Let through, it would end the
    caller's task, which nobody asked to end. A cancellation of the task itself, by ``asyncio.timeout`` too, stays one.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ConnectionAbortedError("the connection ended before the answer came") from error


@contextlib.contextmanager
def rabbit_errors() -> Iterator[None]:
    """Turn the drivers' failures into Unavailable, with the driver's own as its cause."""
    try:
        yield
    except BROKER_ERRORS as error:
        raise Unavailable("rabbitmq") from error
