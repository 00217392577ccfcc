"""What a test orders for the tickets of asynchronous uploads: how long they take, whether they fail."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from flickr_sim.world.models import DONE


class TicketOrder(BaseModel):
    """How the next `times` tickets go (-1: all of them); what is left out is as usual."""

    model_config = ConfigDict(extra="forbid")

    seconds: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] | None = None
    complete: Literal[1, 2] | None = None
    times: Annotated[int, Field(ge=-1)] = 1

    @model_validator(mode="after")
    def _says_something(self) -> "TicketOrder":
        if self.times == 0:
            raise ValueError("times must be at least 1, or -1 for always")
        if self.seconds is None and self.complete is None:
            raise ValueError("an order needs one of seconds, complete")
        return self


class TicketOrders:
    """The orders waiting for their tickets, in the order they were given."""

    def __init__(self, usual_seconds: float) -> None:
        self._usual_seconds = usual_seconds
        self._waiting: list[TicketOrder] = []

    def reset(self) -> None:
        """Forget every order."""
        self._waiting = []

    def give(self, order: TicketOrder) -> None:
        """Queue an order behind those that wait."""
        self._waiting.append(order)

    def take(self) -> tuple[float, int]:
        """Return for a new ticket how many seconds it takes and what `complete` will say then."""
        if not self._waiting:
            return self._usual_seconds, DONE
        order = self._waiting[0]
        if order.times > 0:
            order.times -= 1
        if order.times == 0:
            del self._waiting[0]
        seconds = self._usual_seconds if order.seconds is None else order.seconds
        return seconds, order.complete or DONE
