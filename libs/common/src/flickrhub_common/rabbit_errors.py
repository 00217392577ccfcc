"""What RabbitMQ's drivers raise, listed once."""

import contextlib
from collections.abc import Iterator

from aio_pika.exceptions import AMQPError

from flickrhub_common.errors import Unavailable

BROKER_ERRORS = (AMQPError, OSError, TimeoutError, RuntimeError)
"""What the drivers raise when RabbitMQ is away, slow or going (a closed channel is a RuntimeError of aiormq's)."""


@contextlib.contextmanager
def rabbit_errors() -> Iterator[None]:
    """Turn the drivers' failures into Unavailable, with the driver's own as its cause."""
    try:
        yield
    except BROKER_ERRORS as error:
        raise Unavailable("rabbitmq") from error
