"""What one client's fault may do to the others: nothing."""

from __future__ import annotations

from tests.chaos.records import ClientTrace
from tests.chaos.run import check_bystanders
from tests.chaos.schedule import Fault, Round

TRACES = [ClientTrace(f"client {number}") for number in range(4)]


def test_a_client_that_is_hit_by_another_ones_fault_is_found() -> None:
    part = Round(1, (Fault("slow_client", 0.5, variant=6),))
    assert check_bystanders(part, TRACES, [None, None, 3.0, None]) == []
    found = check_bystanders(part, TRACES, [None, 0.9, 3.0, None])
    assert [violation.detail for violation in found] == ["client 1 heard it too"]


def test_where_a_process_fails_all_may_hear_it() -> None:
    slow, kill = Fault("slow_client", 0.5), Fault("kill_voice", 0.7)
    for faults in ((kill,), (slow, kill)):
        assert check_bystanders(Round(1, faults), TRACES, [1.0, 1.0, 1.0, 1.0]) == []
