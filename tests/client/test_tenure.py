"""How long a lease is certain to live, by its holder's count: from the sending of what was answered, less a tenth."""

from __future__ import annotations

import pytest

from trioraft.client.attempts import FIRST_PAUSE_SECONDS
from trioraft.client.tenure import Tenure


def test_it_is_counted_from_when_the_grant_was_sent_less_a_tenth() -> None:
    tenure = Tenure(10.0, 100.0)
    assert tenure.until_lost(100.0) == pytest.approx(9.0)
    assert tenure.until_lost(108.9) == pytest.approx(0.1)
    assert tenure.until_lost(109.0) == 0.0


def test_an_answered_keepalive_counts_from_when_it_was_sent_and_never_back() -> None:
    tenure = Tenure(10.0, 100.0)
    tenure.kept(105.0)
    assert tenure.until_lost(108.0) == pytest.approx(6.0)
    tenure.kept(103.0)  # its answer came late
    assert tenure.until_lost(108.0) == pytest.approx(6.0)


def test_what_was_lost_stays_lost() -> None:
    tenure = Tenure(10.0, 100.0)
    assert tenure.until_lost(109.5) == 0.0
    tenure.kept(108.0)
    assert tenure.until_lost(109.6) == 0.0


def test_what_the_cluster_has_ended_is_lost_at_once() -> None:
    tenure = Tenure(10.0, 100.0)
    tenure.end()
    assert tenure.until_lost(101.0) == 0.0


def test_a_keepalive_is_due_after_a_third_of_the_ttl_and_soon_again_where_it_fails() -> None:
    tenure = Tenure(9.0, 100.0)
    assert tenure.until_due(100.0) == pytest.approx(3.0)
    assert tenure.until_due(103.5) == 0.0
    tenure.kept(103.5)
    assert tenure.until_due(103.6) == pytest.approx(2.9)
    tenure.failed(107.0)
    assert tenure.until_due(107.0) == pytest.approx(FIRST_PAUSE_SECONDS)
    tenure.failed(107.1)
    assert tenure.until_due(107.1) == pytest.approx(2 * FIRST_PAUSE_SECONDS)
    for _ in range(100):
        tenure.failed(108.0)
    assert tenure.until_due(108.0) == pytest.approx(1.0)
    tenure.kept(108.0)
    tenure.failed(111.0)
    assert tenure.until_due(111.0) == pytest.approx(FIRST_PAUSE_SECONDS)


def test_a_short_lease_is_not_kept_from_its_keepalives_by_a_long_pause() -> None:
    tenure = Tenure(1.5, 0.0)
    for _ in range(100):
        tenure.failed(0.0)
    assert tenure.until_due(0.0) == pytest.approx(0.5)
