"""What the dashboard shows: rows of panels, each with its queries. A unit test holds them to the metrics' definitions.

Figures of several processes are put together as docs/metrics.md says; `$__rate_interval` is Grafana's.
"""

from dataclasses import dataclass

from flickrhub_common.topology import DEAD_LETTER_QUEUES, WORK_QUEUES

OURS = 'job="flickrhub"'
"""What is scraped of ours, in Kubernetes and in compose."""
WORK = f'queue=~"{"|".join(WORK_QUEUES)}"'
DEAD = f'queue=~"{"|".join(DEAD_LETTER_QUEUES)}"'
LADDER = 'queue=~"flickr[.]delay[.].+"'
QUANTILES = (0.5, 0.95, 0.99)


@dataclass(frozen=True)
class Query:
    """One query of a panel, and how its series are called."""

    expr: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """A graph; ``unit`` is one of Grafana's. ``says`` is what an operator should know of it."""

    title: str
    queries: tuple[Query, ...]
    unit: str = "short"
    says: str = ""


@dataclass(frozen=True)
class Row:
    """Panels that belong together."""

    title: str
    panels: tuple[Panel, ...]


def _rate(metric: str, *by: str, where: str = "") -> str:
    chosen = f"{{{where}}}" if where else ""
    grouped = f" by ({', '.join(by)})" if by else ""
    return f"sum{grouped} (rate({metric}{chosen}[$__rate_interval]))"


def _quantiles(metric: str, *by: str, of: tuple[float, ...] = QUANTILES) -> tuple[Query, ...]:
    legend = " ".join(f"{{{{{label}}}}}" for label in by)
    return tuple(
        Query(f"histogram_quantile({q}, {_rate(f'{metric}_bucket', 'le', *by)})", f"{legend} p{q * 100:g}".strip())
        for q in of
    )


def _one(expr: str, legend: str) -> tuple[Query, ...]:
    return (Query(expr, legend),)


JOBS = Row(
    "Jobs",
    (
        Panel(
            "Accepted", _one(_rate("flickrhub_jobs_accepted_total", "target", "class"), "{{target}} {{class}}"), "ops"
        ),
        Panel(
            "Ended, by outcome",
            _one(_rate("flickrhub_jobs_ended_total", "outcome"), "{{outcome}}"),
            "ops",
            "`completed` and `cached` are well; everything else failed for good and lies in flickr_dlq.",
        ),
        Panel(
            "Failed, by target",
            _one(
                _rate("flickrhub_jobs_ended_total", "target", "outcome", where='outcome!~"completed|cached"'),
                "{{target}} {{outcome}}",
            ),
            "ops",
        ),
        Panel(
            "Accepted to finished",
            _quantiles("flickrhub_job_seconds", "target"),
            "s",
            "Waits for turns and retries are in it.",
        ),
        Panel("Accepted to callback delivered", _quantiles("flickrhub_job_callback_seconds"), "s"),
        Panel(
            "Retries, and messages in hand",
            (
                Query(_rate("flickrhub_job_retries_total", "target"), "{{target}} retries/s"),
                Query("sum by (service) (flickrhub_messages_in_hand)", "{{service}} in hand"),
            ),
        ),
    ),
)
FLICKR = Row(
    "Flickr",
    (
        Panel(
            "Calls, by outcome",
            _one(_rate("flickrhub_flickr_calls_total", "class", "outcome"), "{{class}} {{outcome}}"),
            "ops",
        ),
        Panel("Latency", _quantiles("flickrhub_flickr_call_seconds", "class"), "s"),
        Panel(
            "Budget left in this hour",
            (
                Query("min by (key) (flickrhub_budget_left_calls)", "{{key}}"),
                Query("max (flickrhub_budget_calls)", "whole budget"),
            ),
            says="By api key: the beginning of its SHA-256. At 0 its jobs wait in the delay ladder.",
        ),
        Panel("Waits for a turn", _one(_rate("flickrhub_turn_waits_total", "limit"), "{{limit}}"), "ops"),
        Panel(
            "How long a wait is, on average",
            _one(
                _rate("flickrhub_turn_wait_seconds_total", "limit")
                + " / "
                + _rate("flickrhub_turn_waits_total", "limit"),
                "{{limit}}",
            ),
            "s",
        ),
        Panel(
            "Cache hits, of lookups",
            _one(
                _rate("flickrhub_cache_lookups_total", where='result="hit"')
                + " / "
                + _rate("flickrhub_cache_lookups_total"),
                "hits",
            ),
            "percentunit",
        ),
        Panel(
            "Tokens and connections",
            (
                Query(_rate("flickrhub_tokens_rejected_total"), "rejected by Flickr"),
                Query(_rate("flickrhub_connections_total", "event"), "{{event}}"),
            ),
            "ops",
        ),
    ),
)
CALLBACKS = Row(
    "Callbacks",
    (
        Panel(
            "Attempts, by outcome", _one(_rate("flickrhub_callback_attempts_total", "outcome"), "{{outcome}}"), "ops"
        ),
        Panel("How long an attempt takes", _quantiles("flickrhub_callback_attempt_seconds"), "s"),
        Panel("Callbacks ended", _one(_rate("flickrhub_callbacks_ended_total", "outcome"), "{{outcome}}"), "ops"),
        Panel(
            "Breakers",
            (
                Query("max by (state) (flickrhub_breakers)", "{{state}}"),
                Query("max (flickrhub_callback_lines)", "endpoints with callbacks in line"),
            ),
        ),
        Panel("Breakers opened", _one(_rate("flickrhub_breaker_openings_total"), "openings"), "ops"),
    ),
)
QUEUES = Row(
    "Queues",
    (
        Panel("Messages ready", _one(f"max by (queue) (flickrhub_queue_messages{{{WORK}}})", "{{queue}}")),
        Panel(
            "How long messages lay",
            _quantiles("flickrhub_queue_wait_seconds", "queue", of=(0.95,)),
            "s",
            "Of those taken; in whole seconds, up to one too many. What nobody takes shows in `not empty`.",
        ),
        Panel(
            "Not seen empty for",
            _one(f"max by (queue) (flickrhub_queue_not_empty_seconds{{{WORK}}})", "{{queue}}"),
            "s",
        ),
        Panel("Dead letters", _one(f"max by (queue) (flickrhub_queue_messages{{{DEAD}}})", "{{queue}}")),
        Panel(
            "Waiting in the delay ladder",
            _one(f"sum (max by (queue) (flickrhub_queue_messages{{{LADDER}}}))", "messages"),
            says="Retries, turns, budgets and callback retries.",
        ),
        Panel("Oldest unpublished job", _one("max (flickrhub_oldest_unpublished_job_seconds)", "age"), "s"),
        Panel("Consumers", _one(f"max by (queue) (flickrhub_queue_consumers{{{WORK}}})", "{{queue}}")),
        Panel(
            "Consumed by",
            _one("sum by (queue) (flickrhub_queue_consumed)", "{{queue}}"),
            says="Processes that say they consume the queue. Fewer than run: some don't get its messages.",
        ),
        Panel(
            "Messages settled",
            _one(_rate("flickrhub_messages_settled_total", "queue", "fate"), "{{queue}} {{fate}}"),
            "ops",
        ),
    ),
)
PROCESSES = Row(
    "Processes",
    (
        Panel("Processes that answer", _one(f"sum by (service) (up{{{OURS}}})", "{{service}}")),
        Panel(
            "What they reach",
            _one("min by (service, dependency) (flickrhub_dependency_up)", "{{service}} {{dependency}}"),
            says="0: at least one process of the service doesn't.",
        ),
        Panel(
            "Versions",
            _one(
                "sum by (service, version, python) (flickrhub_build_info)", "{{service}} {{version}}, Python {{python}}"
            ),
        ),
        Panel("CPU", _one(_rate("process_cpu_seconds_total", "service", where=OURS), "{{service}}"), "percentunit"),
        Panel("Memory", _one(f"sum by (service) (process_resident_memory_bytes{{{OURS}}})", "{{service}}"), "bytes"),
        Panel("Open files", _one(f"max by (service) (process_open_fds{{{OURS}}})", "{{service}}")),
        Panel("Up for", _one(f"time() - max by (service) (process_start_time_seconds{{{OURS}}})", "{{service}}"), "s"),
    ),
)
ROWS = (JOBS, FLICKR, CALLBACKS, QUEUES, PROCESSES)
