"""How much of everything is measured."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """The run of record, unless said otherwise."""

    warm_up: int = 1000
    chain_messages: int = 2000
    chain_rounds: int = 3
    rates: tuple[float, ...] = (50.0, 200.0, 500.0)
    offered_seconds: float = 15.0
    saturation: int = 3000
    saturation_rounds: int = 3


SMOKE = Sizes(
    warm_up=40,
    chain_messages=100,
    chain_rounds=1,
    rates=(50.0,),
    offered_seconds=1.0,
    saturation=100,
    saturation_rounds=1,
)
"""Enough to see that it runs; its figures mean nothing."""
