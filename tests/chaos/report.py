"""The result for people and for programs."""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from tests.chaos.ledger import Ledger

MOST_PROBLEMS = 40


def table(ledger: Ledger) -> str:
    """One line a fault, the sums, and what is wrong, if anything is."""
    width = max((len(row.fault) for row in ledger.rows), default=5)
    lines = [f"{'':>3} {'fault':<{width}} {'jobs':>5} {'lost':>4} {'duplicates':>10} {'recovered in':>12}"]
    for number, row in enumerate(ledger.rows, 1):
        numbers = f"{row.jobs:>5} {row.lost:>4} {row.duplicates:>10} {row.seconds:>10.1f} s"
        lines.append(f"{number:>3} {row.fault:<{width}} {numbers}")
    lines += ["", *(f"{value:>7}  {name}" for name, value in ledger.figures.items())]
    if ledger.problems:
        shown = ledger.problems[:MOST_PROBLEMS]
        lines += ["", f"{len(ledger.problems)} problems:", *(f"  {problem}" for problem in shown)]
    lines += ["", "The ledger balances: nothing lost." if ledger.balances else "THE LEDGER DOESN'T BALANCE."]
    return "\n".join(lines)


def write_json(path: Path, ledger: Ledger, *, seed: int, seconds: float, replies: Counter[str]) -> None:
    """Keep the result beside the logs."""
    result = {
        "seed": seed,
        "seconds": round(seconds, 1),
        "rows": [asdict(row) for row in ledger.rows],
        "figures": ledger.figures,
        "replies": replies,
        "problems": ledger.problems,
    }
    path.write_text(json.dumps(result, indent=2, ensure_ascii=False), encoding="utf-8")
