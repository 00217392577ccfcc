"""The plan of a run: all from the seed, and everything in it."""

from tests.chaos.plan import LEASEHOLDERS, SERVERS, TARGETS, Kind, Task, plan_faults, plan_work


def test_a_seed_always_decides_the_same() -> None:
    assert plan_faults(7, 60) == plan_faults(7, 60)
    assert plan_work(7, 500) == plan_work(7, 500)


def test_another_seed_decides_otherwise() -> None:
    assert plan_faults(7, 60) != plan_faults(8, 60)
    assert plan_work(7, 500) != plan_work(8, 500)


def test_sixty_faults_deal_every_blow_to_every_target_alone_and_pairs_besides() -> None:
    faults = plan_faults(7, 60)
    alone = {fault.blows[0] for fault in faults if len(fault.blows) == 1}
    assert {(blow.kind, blow.target) for blow in alone if blow.kind is not Kind.LONG_STOP} == {
        *((kind, target) for kind in (Kind.KILL, Kind.STOP, Kind.RESTART) for target in TARGETS),
        (Kind.CLOSE, "rabbitmq"),
    }
    pairs = [fault.blows for fault in faults if len(fault.blows) == 2]
    assert len(pairs) == 18
    assert all(one.target != other.target for one, other in pairs)
    assert any(one.target in SERVERS and other.target in SERVERS for one, other in pairs)


def test_one_fault_in_ten_is_a_silence_longer_than_the_leases_of_each_leaseholder_in_turn() -> None:
    long = [fault for fault in plan_faults(7, 60) if any(blow.kind is Kind.LONG_STOP for blow in fault.blows)]
    assert [fault.number for fault in long] == [5, 15, 25, 35, 45, 55]
    assert {fault.blows[0].target for fault in long[:3]} == set(LEASEHOLDERS)
    assert all(len(fault.blows) == 1 for fault in long)


def test_without_stops_nobody_falls_silent() -> None:
    kinds = {blow.kind for fault in plan_faults(7, 60, stops=False) for blow in fault.blows}
    assert kinds == {Kind.KILL, Kind.RESTART, Kind.CLOSE}


def test_a_thousand_jobs_are_of_every_kind_and_most_call_back() -> None:
    works = plan_work(7, 1000)
    assert {work.task for work in works} == set(Task)
    assert 800 < sum(work.calls_back for work in works) < 900
    assert any(work.flickr.keys() - {"latency_ms"} for work in works)
    assert {failure for work in works for failure in work.receiver} == {"503", "drop"}
