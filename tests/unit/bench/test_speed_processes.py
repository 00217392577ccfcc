"""What /proc says of processes and of the machine."""

import os

from tests.bench.speed.processes import (
    PAGE_BYTES,
    TICKS,
    MachineTime,
    Stat,
    Usage,
    cpu_ms_per_job,
    read_machine,
    read_stat,
    with_children,
)

FIELDS = "S 7 40 40 0 -1 4194560 100 200 0 0 150 50 20 10 20 0 3 0 5000 123456 256 184467"


def test_a_process_is_read_whatever_its_name_holds() -> None:
    stat = read_stat(f"42 (a ) S (b) 1 2) {FIELDS}\n")
    assert stat == Stat(42, 7, Usage(230 / TICKS, 256 * PAGE_BYTES))


def test_this_process_is_there() -> None:
    with open(f"/proc/{os.getpid()}/stat", encoding="utf-8") as file:
        stat = read_stat(file.read())
    assert (stat.pid, stat.parent) == (os.getpid(), os.getppid())
    assert stat.usage.cpu_seconds > 0
    assert stat.usage.resident > 1024 * 1024


def test_what_children_use_counts_for_their_ancestor() -> None:
    of_parent = {1: (0, Usage(1.0, 10)), 2: (1, Usage(2.0, 20)), 3: (2, Usage(4.0, 40)), 9: (0, Usage(8.0, 80))}
    stats = {pid: Stat(pid, parent, usage) for pid, (parent, usage) in of_parent.items()}
    assert with_children(stats, 1) == Usage(7.0, 70)


def test_processor_time_is_told_for_each_job() -> None:
    before = {"gateway": Usage(10.0, 1), "mongo": Usage(5.0, 1)}
    after = {"gateway": Usage(12.0, 1), "mongo": Usage(5.0, 1), "executor-rest-2": Usage(1.0, 1)}
    assert cpu_ms_per_job(before, after, 1000) == {"gateway": 2.0, "mongo": 0.0, "executor-rest-2": 1.0}


def test_the_machine_is_busy_while_it_is_not_idle() -> None:
    first = read_machine("cpu  100 0 100 500 100 0 0 0 0 0\ncpu0 1 2 3\n", 10.0)
    second = read_machine("cpu  250 0 250 540 110 25 15 10 7 7\ncpu0 1 2 3\n", 12.0)
    assert first == MachineTime(10.0, 200 / TICKS, 600 / TICKS)
    assert second.busy_since(first) == 350 / 400
    assert second.busy_since(second) == 0.0
