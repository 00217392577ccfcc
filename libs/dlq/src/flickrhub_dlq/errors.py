"""What ends the tool early: each is one sentence and an exit code, and names no URL."""

from typing import ClassVar


class ToolError(Exception):
    """Ends the tool; its text is the sentence that the operator sees."""

    exit_code: ClassVar[int] = 1


class BadUsage(ToolError):
    """The call itself is wrong."""

    exit_code = 2


class BrokerAway(ToolError):
    """RabbitMQ isn't there, refuses us, or went away."""

    exit_code = 3


class NoSuchQueue(ToolError):
    """The broker is there and has no such queue."""


class SomebodyElse(ToolError):
    """Another operator is at this queue."""


class NobodyTakesIt(Exception):
    """RabbitMQ took no charge of a message: its queue is missing, or full."""
