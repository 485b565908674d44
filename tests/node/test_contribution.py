"""Measured contribution: credit at the top, passed on as the intermediaries' own split has it."""

import pytest

from troth_node.contribution import measured_contribution, rank_correlation


def test_credit_of_forecasters_adds_up_by_seller():
    reports = {
        "alma": {"credit_nats": {"x@weather": 2.0, "y@noise": -0.5}},
        "bruno": {"credit_nats": {"z@weather": 1.0}},
        "weather": {},
        "noise": {"shares_ppm": {}},
    }
    assert measured_contribution(reports, ["alma", "bruno"]) == {"weather": 3.0, "noise": -0.5}


def test_an_intermediary_passes_on_half_of_what_it_cites_level_by_level():
    reports = {
        "alma": {"credit_nats": {"nowcast@nowcast": 8.0, "delays@delays": 1.0}},
        "nowcast": {
            "credit_nats": {"ignored@x": 9.0},
            "cited_ppm": {"f@extractor": 500_000, "d@delays": 250_000},
        },
        "extractor": {"cited_ppm": {"w@weather": 1_000_000}},
    }
    found = measured_contribution(reports, ["alma"])
    assert found == {"nowcast": 8.0, "extractor": 2.0, "weather": 1.0, "delays": 2.0}


def test_agents_that_cite_each_other_do_not_pass_credit_round_for_ever():
    reports = {
        "alma": {"credit_nats": {"x@a": 4.0}},
        "a": {"cited_ppm": {"y@b": 1_000_000}},
        "b": {"cited_ppm": {"x@a": 1_000_000}},
    }
    assert measured_contribution(reports, ["alma"]) == {"a": 5.0, "b": 2.0}


def test_rank_correlation_counts_order_and_shares_the_ranks_of_ties():
    up = {"a": 1.0, "b": 2.0, "c": 30.0}
    assert rank_correlation(up, {"a": -5.0, "b": 0.0, "c": 0.1}) == pytest.approx(1)
    assert rank_correlation(up, {"a": 3.0, "b": 2.0, "c": 1.0}) == pytest.approx(-1)
    assert rank_correlation(up, {"a": 1.0, "b": 1.0, "c": 2.0}) == pytest.approx(0.8660, abs=1e-4)
    assert rank_correlation(up, dict.fromkeys(up, 1.0)) == 0.0
