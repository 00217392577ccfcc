"""The dashboard and the alerts: held to the metrics' definitions, and to a Prometheus that scrapes a running stack."""
