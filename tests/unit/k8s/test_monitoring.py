"""What is scraped, and that rules and dashboards are those of deploy/observability."""

import json

import yaml

from deploy.k8s.generate import OBSERVABILITY
from tests.k8s.objects import named, of_kind, services
from tests.unit.k8s.rendered import prod


def test_every_service_is_scraped_on_its_metrics_port() -> None:
    (monitor,) = [each["spec"] for each in of_kind(prod(), "ServiceMonitor")]
    wanted = monitor["selector"]["matchLabels"].items()
    found = {
        name: {port["name"] for port in each["spec"]["ports"]}
        for name, each in named(prod(), "Service").items()
        if wanted <= each["metadata"]["labels"].items()
    }
    assert set(found) == set(services(prod()))
    jobs = {named(prod(), "Service")[name]["metadata"]["labels"][monitor["jobLabel"]] for name in found}
    scraped = yaml.safe_load((OBSERVABILITY / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    assert jobs == {scraped[0]["job_name"]}
    (endpoint,) = monitor["endpoints"]
    assert (endpoint["port"], endpoint["path"]) == ("metrics", "/metrics")
    assert all(endpoint["port"] in ports for ports in found.values())


def test_the_alerts_are_the_ones_that_are_kept() -> None:
    (rule,) = of_kind(prod(), "PrometheusRule")
    assert rule["spec"] == yaml.safe_load((OBSERVABILITY / "alerts.yml").read_text(encoding="utf-8"))


def test_every_dashboard_is_there_for_grafanas_sidecar() -> None:
    files = {
        path.name: json.loads(path.read_text(encoding="utf-8")) for path in OBSERVABILITY.glob("dashboards/*.json")
    }
    dashboards = named(prod(), "ConfigMap")["flickrhub-dashboard"]
    assert dashboards["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert {name: json.loads(text) for name, text in dashboards["data"].items()} == files
    assert files
