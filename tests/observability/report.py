"""Graphs as people read them in a terminal: a line for each series, with its name, its course and its last figure."""

import math
from collections.abc import Sequence

from tests.observability.server import Series

BARS = "▁▂▃▄▅▆▇█"
COURSE = 40
"""Characters of a course, and so points of a graph."""
MOST_LINES = 12


def course(figures: Sequence[float], *, top: float) -> str:
    """Figures drawn as bars between 0 and ``top``, which is above 0; a gap where there is none."""
    return "".join(
        " " if math.isnan(each) else BARS[min(len(BARS) - 1, int(max(0.0, each) / top * len(BARS)))] for each in figures
    )


def name(labels: dict[str, str]) -> str:
    """What a series is called: the values of its labels."""
    return " ".join(value for label, value in sorted(labels.items()) if label != "__name__") or "value"


def graph(series: Sequence[Series]) -> list[str]:
    """A line for each series, the largest first; those that are 0 all the time are only counted."""
    shown = [each for each in series if any(each.known)]
    shown.sort(key=lambda each: -max(each.known))
    top = max((max(each.known) for each in shown), default=0.0)
    lines = [
        f"    {name(each.labels):<42.42} {course(each.figures, top=top):<{COURSE + 1}} {each.known[-1]:.4g}"
        for each in shown[:MOST_LINES]
    ]
    more, still = len(shown) - MOST_LINES, len(series) - len(shown)
    if more > 0:
        lines.append(f"    and {more} more")
    if still:
        lines.append(f"    and {still} that {'is' if still == 1 else 'are'} 0")
    return lines
