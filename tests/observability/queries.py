"""Every query of the dashboard, and every alert's expression, from the files that Grafana and Prometheus read."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.run_env import ROOT

OBSERVABILITY = ROOT / "deploy" / "observability"
ALERTS = OBSERVABILITY / "alerts.yml"
DASHBOARD = OBSERVABILITY / "dashboards" / "flickrhub.json"
RATE_INTERVAL = "$__rate_interval"


@dataclass(frozen=True)
class Query:
    """A query and where it stands; ``where`` says it for people."""

    where: str
    expr: str

    def over(self, interval: str) -> str:
        """The query with Grafana's variable filled in."""
        return self.expr.replace(RATE_INTERVAL, interval)


def dashboard(path: Path = DASHBOARD) -> list[Query]:
    """The dashboard's queries, from top to bottom."""
    panels = json.loads(path.read_text(encoding="utf-8"))["panels"]
    return [
        Query(f"{panel['title']} [{target['refId']}]", target["expr"])
        for panel in panels
        for target in panel.get("targets", ())
    ]


def rules() -> list[dict[str, Any]]:
    """The alert rules."""
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> list[Query]:
    """The alerts' expressions."""
    return [Query(rule["alert"], rule["expr"]) for rule in rules()]
