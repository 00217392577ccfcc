"""Every alert fits the metrics that exist, has its entry in the runbook, and fires when it should."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.observability.dashboard import dashboard
from flickrhub_common.topology import WORK_QUEUES
from tests.observability import queries
from tests.observability.programs import program
from tests.observability.promql import faults
from tests.observability.queries import ALERTS, Query
from tests.support.run_env import ROOT
from tests.unit.observability.known import KNOWN

RULES = queries.rules()
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
ENTRY = re.compile(r"^### (FlickrHub\w+)\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
ENTRIES = dict(ENTRY.findall(RUNBOOK))
RULE_TESTS = Path(__file__).with_name("alerts_test.yml")


@pytest.mark.parametrize("query", queries.alerts(), ids=lambda query: query.where)
def test_an_alert_fits_the_metrics_that_exist(query: Query) -> None:
    assert faults(query.expr, KNOWN) == []


def test_every_alert_has_an_entry_in_the_runbook_and_every_entry_an_alert() -> None:
    assert [rule["alert"] for rule in RULES] == list(ENTRIES)


@pytest.mark.parametrize("alert", ENTRIES)
def test_an_entry_says_what_it_means_where_to_look_and_what_to_do(alert: str) -> None:
    places = [ENTRIES[alert].find(f"*{word}*") for word in ("Means", "Look", "Do")]
    assert -1 not in places
    assert places == sorted(places)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_leads_to_its_entry_and_says_how_bad_it_is(rule: dict[str, Any]) -> None:
    assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{rule['alert'].lower()}"
    assert rule["annotations"]["summary"]
    assert rule["labels"]["severity"] in ("critical", "warning")


@pytest.mark.parametrize("alert", ENTRIES)
def test_an_entry_names_panels_that_exist(alert: str) -> None:
    named = set(re.findall(r"\*([A-Z][^*]*)\*", ENTRIES[alert])) - {"Means", "Look", "Do"}
    assert named <= {panel["title"] for panel in json.loads(dashboard())["panels"]}


def test_queues_are_watched_whole() -> None:
    listed = [
        set(names.split("|")) for rule in RULES for names in re.findall(r'queue=~"(flickr_rest[^"]*)"', rule["expr"])
    ]
    assert listed
    assert all(names == set(WORK_QUEUES) for names in listed)


def test_every_alert_has_a_test_that_fires_it_and_one_that_does_not() -> None:
    tested = [
        (case["alertname"], bool(case.get("exp_alerts")))
        for group in yaml.safe_load(RULE_TESTS.read_text(encoding="utf-8"))["tests"]
        for case in group["alert_rule_test"]
    ]
    for rule in RULES:
        assert (rule["alert"], True) in tested
        assert (rule["alert"], False) in tested


@pytest.mark.parametrize(
    "command", [("check", "rules", str(ALERTS)), ("test", "rules", str(RULE_TESTS))], ids=("check", "test")
)
def test_prometheus_itself_takes_the_rules_and_fires_them(command: tuple[str, ...]) -> None:
    promtool = program("promtool")
    if promtool is None:
        pytest.skip("promtool isn't here (deploy/local/bootstrap.sh prometheus): the alerts weren't fired")
    told = subprocess.run([promtool, *command], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
