"""Writes dashboards/flickrhub.json, Grafana's form of the panels: `make docs`."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy.observability.panels import ROWS, Panel

FILE = Path(__file__).with_name("dashboards") / "flickrhub.json"
# Whoever imports it has named Prometheus as they like: the dashboard lets choose, and takes the default one at first.
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS, ACROSS, HEIGHT = 24, 3, 8
WIDTH = COLUMNS // ACROSS

Object = dict[str, Any]


def main() -> None:
    """Write the dashboard if it isn't current."""
    text = dashboard()
    if not FILE.exists() or FILE.read_text(encoding="utf-8") != text:
        FILE.write_text(text, encoding="utf-8")
        sys.stdout.write("written: deploy/observability/dashboards/flickrhub.json\n")


def dashboard() -> str:
    """The dashboard as Grafana imports it."""
    whole = {
        "title": "FlickrHub",
        "uid": "flickrhub",
        "tags": ["flickrhub"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "panels": [{"id": number, **each} for number, each in enumerate(_panels(), start=1)],
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _panels() -> Iterator[Object]:
    """Rows and panels from top to bottom, three beside one another."""
    y = 0
    for row in ROWS:
        yield {"type": "row", "title": row.title, "collapsed": False, "gridPos": _at(0, y, COLUMNS, 1), "panels": []}
        y += 1
        for number, panel in enumerate(row.panels):
            line, column = divmod(number, ACROSS)
            yield _graph(panel, _at(column * WIDTH, y + line * HEIGHT, WIDTH, HEIGHT))
        y += HEIGHT * -(-len(row.panels) // ACROSS)


def _at(x: int, y: int, width: int, height: int) -> Object:
    return {"x": x, "y": y, "w": width, "h": height}


def _graph(panel: Panel, place: Object) -> Object:
    return {
        "type": "timeseries",
        "title": panel.title,
        "description": panel.says,
        "datasource": DATASOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {
            "tooltip": {"mode": "multi", "sort": "desc"},
            "legend": {"showLegend": True, "displayMode": "list"},
        },
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": DATASOURCE,
                "expr": query.expr,
                "legendFormat": query.legend,
            }
            for number, query in enumerate(panel.queries)
        ],
    }


if __name__ == "__main__":
    main()
