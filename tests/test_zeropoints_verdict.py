"""What zero points tell: significance, enough galaxies or not, and how wide their prior is."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from test_zeropoints import catalogue, zero_points
from test_zeropoints_fit import B, linear_catalogue, smoothing

from jpassed.adaptation.zeropoint_baseline import DOUBTS, LEAST, UNKNOWN
from jpassed.adaptation.zeropoint_solution import Equations, solve
from jpassed.adaptation.zeropoint_verdict import verdict_of
from jpassed.exceptions import InputError
from jpassed.surveys import read_photometry

NAMES = tuple(f"b{i}" for i in range(24))


def verdict(offset, error, n=500, scatter=0.02, baseline=True, count=24):
    offset, error = (np.broadcast_to(v, count).astype(float) for v in (offset, error))
    return verdict_of(
        NAMES[:count], offset, error, n=n, scatter=scatter, baseline=baseline
    )  # fmt: skip


def test_significant_offsets_are_counted_and_named():
    offset = np.zeros(24)
    offset[[3, 7]] = 0.05, -0.08
    found = verdict(offset, 0.01)
    assert found["jp_zp_significant"] == "2 of 24 offsets are beyond 3 standard errors: b7, b3"
    assert found["jp_zp_verdict"].startswith("measured: 2 significant offsets")
    assert found["jp_zp_kind"].startswith("a measurement of the catalogue")
    assert "jp_zp_doubtful" not in found


def test_too_few_galaxies_are_not_fine_zero_points(caplog):
    with caplog.at_level(logging.WARNING):
        few = verdict(0.002, 0.03, n=60)
    assert few["jp_zp_verdict"].startswith("not measured: 60 galaxies in 24 bands")
    assert few["jp_zp_verdict"] in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        fine = verdict(0.002, 0.004)
    assert "no offset is significant" in fine["jp_zp_verdict"]
    assert caplog.text == ""
    mixed = verdict(0.0, np.where(np.arange(24) < 2, 0.05, 0.01))
    assert mixed["jp_zp_verdict"].endswith("2 of 24 bands have errors above 0.02 mag")


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"count": 5}, "(5 bands, fewer than 20)"),
        ({"baseline": False}, "(the model's own residuals in these bands are not known)"),
    ],
)
def test_few_bands_or_no_baseline_are_a_calibration(more, why):
    kind = verdict(0.0, 0.01, **more)["jp_zp_kind"]
    assert kind == f"a calibration to the model, not a measurement of the catalogue {why}"


def test_doubtful_zero_points_are_not_applied_before_somebody_says_so():
    meta = verdict(0.1, 0.01, scatter=0.095)
    table = catalogue()
    with pytest.raises(InputError, match=r"0\.095 mag, more than surveys have.*delete jp_zp_doubt"):
        zero_points(meta=meta).apply(read_photometry(table), table)
    del meta["jp_zp_doubtful"]
    assert zero_points(meta=meta).apply(read_photometry(table), table)[1] == ()


def test_those_that_were_not_measured_are_applied_with_a_word():
    table = catalogue()
    made = zero_points(meta=verdict(0.0, 0.05))
    said = made.apply(read_photometry(table), table)[1]
    assert len(said) == 1 and said[0].startswith("zero points: not measured: 500 galaxies")


def equations(offset, n, seed, noise=0.1):
    residuals = linear_catalogue(offset, n=n, noise=noise, seed=seed)
    return Equations.make(residuals, smoothing(), np.zeros(B))


def test_more_galaxies_move_offsets_within_the_stated_errors():
    unsure = np.outer(DOUBTS, np.full(B, UNKNOWN))
    pulls = []
    for seed in range(30):
        offset = np.random.default_rng(seed).normal(0, 0.03, B)
        few, many = (
            solve(equations(offset, n, seed + n), baseline_error=unsure, least=LEAST)
            for n in (100, 2000)
        )
        pulls.append((few.offset - many.offset) / few.error)
    assert np.abs(pulls).max() < 4
    assert np.sqrt(np.mean(np.square(pulls))) < 1.2


def test_the_width_of_the_prior_is_in_the_errors():
    """With the true scatter unknown, errors are right all the same."""
    pulls = []
    for seed in range(60):
        size = (0.003, 0.01, 0.03, 0.06)[seed % 4]
        offset = np.random.default_rng(500 + seed).normal(0, size, B)
        found = solve(equations(offset, 300, seed))
        pulls.append((found.offset - (offset - offset.mean())) / found.error)
    assert 0.75 < np.sqrt(np.mean(np.square(pulls))) < 1.25


def test_residuals_of_the_model_are_not_taken_for_offsets():
    """A pattern that no offsets of the bands make is the model's."""
    rng = np.random.default_rng(3)
    unsure = np.outer(DOUBTS, np.full(B, UNKNOWN))
    found = []
    for seed in range(20):
        own = linear_catalogue(np.zeros(B), n=2000, noise=0.1, seed=seed)
        made = Equations.make(own, smoothing(), rng.normal(0, 0.04, B))
        found.append(solve(made, baseline_error=unsure, least=LEAST))
    pulls = np.array([one.offset / one.error for one in found])
    assert np.sqrt(np.mean(pulls**2)) < 1.3
    assert np.abs(pulls).max() < 4
