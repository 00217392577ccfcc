"""How much of everything is measured."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """The run of record, unless said otherwise."""

    warm_up: int = 1000
    chain_messages: int = 2000
    chain_rounds: int = 3
    rates: tuple[float, ...] = (50.0, 200.0, 500.0)
    offered_seconds: float = 12.0
    saturation: int = 3000
    saturation_rounds: int = 3
    concurrencies: tuple[int, ...] = (1, 4, 16, 64)
    scaling_seconds: float = 4.0
    worked_before: int = 10_000
    short_backlog: int = 3000
    long_backlog: int = 50_000
    counted: int = 10_000
    """Of the long backlog, the first callbacks that are measured."""
    settled_seconds: float = 10.0
    full_cache: bool = True
    """Whether MongoDB's cache is filled before."""
    short_again: bool = True
    """Whether the short backlog is measured after the long one too."""


SMOKE = Sizes(
    warm_up=40,
    chain_messages=100,
    chain_rounds=1,
    rates=(50.0,),
    offered_seconds=1.0,
    saturation=100,
    saturation_rounds=1,
    concurrencies=(2,),
    scaling_seconds=1.0,
    worked_before=0,
    short_backlog=40,
    long_backlog=120,
    counted=60,
    settled_seconds=0.0,
    full_cache=False,
    short_again=False,
)
"""Enough to see that it runs; its figures mean nothing."""
