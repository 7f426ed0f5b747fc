"""Fitting zero points: the regression itself, and galaxies whose offsets are known."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from annotation_tables import CONFIG, make_table, small_model
from astropy.table import QTable
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from jpassed.adaptation import fit_zeropoints
from jpassed.adaptation.zeropoint_fit import _filled
from jpassed.adaptation.zeropoint_predictions import (
    flux_moments,
    fold_of,
    jacobian,
    predict_bands,
)
from jpassed.adaptation.zeropoint_solution import (
    CLIP,
    MAGNITUDE,
    SCATTERS,
    Equations,
    Residuals,
    grey_and_slope,
    joined,
    scatter_of_tiles,
    solve,
)
from jpassed.annotation.distributions import scaled_distribution, transform_of
from jpassed.annotation.task import prepare
from jpassed.cli import main
from jpassed.exceptions import InputError, UnknownNameError
from jpassed.io.catalogs import read_catalog, write_catalog
from jpassed.io.zeropoint_file import read_zeropoints
from jpassed.nn.heads import make_head
from jpassed.vocabulary import load_vocabulary

torch.set_num_threads(1)

B = 8
PIVOT = np.geomspace(3500.0, 9000.0, B)
NARROW = ("J0400", "J0450", "J0500", "J0550", "J0600", "J0650", "J0700", "J0750", "J0800", "rSDSS")


def smoothing(n_bands=B, width=1.5):
    """A made-up Jacobian: each band is predicted as a mean of those around it."""
    distance = np.subtract.outer(np.arange(n_bands), np.arange(n_bands))
    weight = np.exp(-0.5 * (distance / width) ** 2) * (distance != 0)
    return weight / weight.sum(axis=1, keepdims=True)


def linear_catalogue(offset, n=400, noise=0.05, seed=0, jacobian=None):
    """Residuals of n galaxies of a world in which predictions are linear."""
    rng = np.random.default_rng(seed)
    response = smoothing() if jacobian is None else jacobian
    sigma = noise * rng.uniform(0.5, 2.0, (n, 1))
    noisy = offset / MAGNITUDE + sigma * rng.standard_normal((n, len(offset)))
    value = noisy @ (np.eye(len(offset)) - response).T
    return Residuals(value, np.broadcast_to(1.0 / sigma**2, value.shape))


def solved(residuals, jacobian=None, **more):
    response = smoothing() if jacobian is None else jacobian
    return solve(Equations.make(residuals, response, np.zeros(residuals.value.shape[1])), **more)


@settings(max_examples=25)
@given(st.lists(st.floats(-0.1, 0.1), min_size=B, max_size=B), st.floats(-0.3, 0.3))
def test_offsets_are_recovered_up_to_their_mean(offset, grey):
    offset = np.array(offset) - np.mean(offset)
    found = solved(linear_catalogue(offset + grey, noise=1e-4), scatter=0.1)
    np.testing.assert_allclose(found.offset, offset, atol=2e-3)
    assert found.offset.mean() == pytest.approx(0.0, abs=1e-9)


def test_mean_residuals_alone_miss_what_the_neighbours_follow():
    offset = np.array([0.1, 0.1, 0.1, 0.0, 0.0, -0.1, -0.1, -0.1])
    residuals = linear_catalogue(offset, noise=1e-4)
    mean = MAGNITUDE * residuals.mean()[0]
    assert np.std(mean - offset) > 0.04
    assert np.std(solved(residuals, scatter=0.1).offset - offset) < 2e-3


def test_stated_errors_are_those_that_are_made():
    pulls = []
    for seed in range(60):
        offset = np.random.default_rng(1000 + seed).normal(0, 0.05, B)
        found = solved(linear_catalogue(offset, n=200, noise=0.1, seed=seed), scatter=0.05)
        pulls.append((found.offset - (offset - offset.mean())) / found.error)
    assert 0.85 < np.std(pulls) < 1.2


def test_a_catalogue_without_offsets_gets_next_to_none():
    offset = np.zeros(B)
    kept = [solved(linear_catalogue(offset, noise=0.1, seed=s)) for s in range(10)]
    free = [
        solved(linear_catalogue(offset, noise=0.1, seed=s), scatter=0.1).offset.std()
        for s in range(10)
    ]
    assert np.mean([found.offset.std() for found in kept]) < 0.4 * np.mean(free)
    assert solved(linear_catalogue(np.linspace(-0.1, 0.1, B), noise=0.01)).scatter > 0.03


def test_a_slope_that_residuals_hardly_show_has_a_large_error():
    wide = smoothing(width=6.0)
    basis = grey_and_slope(PIVOT)
    # Predictions that follow grey and slope entirely: the galaxies imitate them.
    follow = wide + (np.eye(B) - wide) @ basis @ np.linalg.pinv(basis)
    found = solved(
        linear_catalogue(0.1 * basis[:, 1], jacobian=follow), jacobian=follow, scatter=0.05
    )
    assert np.abs(found.offset).max() < 0.01
    x = basis[:, 1] / B
    assert np.sqrt(x @ found.covariance @ x) == pytest.approx(0.05 / np.sqrt(B), rel=0.05)


def test_a_baseline_is_no_offset_and_its_error_counts():
    residuals = linear_catalogue(np.zeros(B), noise=0.01)
    shifted = replace(residuals, value=residuals.value + np.linspace(-0.03, 0.03, B))
    response = smoothing()
    taken = solve(Equations.make(shifted, response, np.linspace(-0.03, 0.03, B)), scatter=0.05)
    plain = solve(Equations.make(residuals, response, np.zeros(B)), scatter=0.05)
    np.testing.assert_allclose(taken.offset, plain.offset, atol=1e-12)
    unsure = solve(
        Equations.make(residuals, response, np.zeros(B)), scatter=0.05,
        baseline_error=np.full(B, 0.02),
    )  # fmt: skip
    assert np.all(unsure.error > 3 * plain.error)


def test_tiles_are_drawn_towards_the_whole_by_what_they_know():
    response = smoothing()
    whole_offset = np.array([0.05, -0.05, 0.02, -0.02, 0.04, -0.04, 0.01, -0.01])
    rng = np.random.default_rng(5)
    own = [whole_offset + rng.normal(0, 0.02, B) for _ in range(6)]
    parts = [
        Equations.make(linear_catalogue(o, n=300, noise=0.02, seed=k), response, np.zeros(B))
        for k, o in enumerate(own)
    ]
    whole = solve(joined(parts))
    share = scatter_of_tiles(parts, whole)
    scatter = float(share @ SCATTERS)
    assert 0.01 < scatter < 0.04
    few = Equations.make(linear_catalogue(own[0], n=4, noise=0.5), response, np.zeros(B))
    vague = solve(few, centre=whole, scatter=share)
    sharp = solve(parts[0], centre=whole, scatter=share)
    assert np.std(vague.offset - whole.offset) < 0.3 * np.std(sharp.offset - whole.offset)
    truth = own[0] - own[0].mean()
    assert np.std(sharp.offset - truth) < 0.4 * np.std(whole.offset - truth)
    assert np.all(vague.error > sharp.error)


def test_equations_after_a_correction_are_those_of_the_whole_offset():
    offset = np.random.default_rng(2).normal(0, 0.03, B)
    half = 0.5 * offset
    response = smoothing()
    before = Equations.make(linear_catalogue(offset), response, np.zeros(B))
    after = Equations.make(linear_catalogue(offset - half), response, np.zeros(B)).moved(half)
    np.testing.assert_allclose(after.pull, before.pull, rtol=1e-9, atol=1e-6)


def test_stars_among_the_galaxies_pull_little():
    rng = np.random.default_rng(4)
    n = 300
    mean, sigma = np.full((n, B), 10.0), np.full((n, B), 0.2)
    flux = mean + 0.5 * rng.standard_normal((n, B))
    flux[:15] *= np.linspace(0.2, 3.0, B)
    error, observed = np.full((n, B), 0.5), np.ones((n, B), dtype=bool)
    found = Residuals.make(flux, error, observed, mean, sigma)
    plain = (flux / mean - 1).mean(axis=0)
    assert np.abs(found.mean()[0]).max() < 0.35 * np.abs(plain).max()
    assert np.abs(found.value * np.sqrt(found.weight)).max() <= 10 * CLIP
    hidden = Residuals.make(flux, error, observed & (rng.random((n, B)) < 0.5), mean, sigma)
    assert 0.4 < (hidden.weight > 0).mean() < 0.6


def test_a_band_without_galaxies_has_no_zero_point():
    residuals = linear_catalogue(np.linspace(-0.05, 0.05, B))
    weight = residuals.weight.copy()
    weight[:, 3] = 0.0
    found = solved(replace(residuals, weight=weight), scatter=0.05)
    assert np.isnan(found.offset).tolist() == [i == 3 for i in range(B)]
    assert np.isfinite(np.delete(found.offset, 3)).all()
    assert SCATTERS[0] < found.scatter


# What the network predicts, and how that follows offsets.


def few_galaxies(n=5, seed=3):
    return prepare(
        make_table(n, seed), model=small_model(), outputs=("z",), context=None, survey="auto",
        device="cpu", batch_size=None,
    )  # fmt: skip


def test_a_band_without_galaxies_on_a_tile_has_the_colour_of_the_whole():
    offset = np.array([[0.2, -0.1, -0.1], [np.nan, 0.01, -0.01], [0.1, np.nan, -0.1]])
    filled, error, own = _filled(offset, np.where(np.isnan(offset), np.nan, [0.03, 0.02, 0.01]))
    np.testing.assert_allclose(filled[1], [0.3, 0.01, -0.01])
    np.testing.assert_allclose(filled[2], [0.1, -0.15, -0.1])
    np.testing.assert_allclose(error[1:], [[0.03, 0.02, 0.01]] * 2)
    np.testing.assert_array_equal(own, np.isfinite(offset))
    nowhere = np.array([[np.nan, 0.1], [np.nan, 0.2]])
    np.testing.assert_array_equal(_filled(nowhere, nowhere)[0], nowhere)


def test_a_band_does_not_enter_its_own_prediction():
    task = few_galaxies()
    p = task.photometry
    before = predict_bands(task, p)
    fold = fold_of(p.pivot)
    flux = p.flux.copy()
    flux[:, 2] *= 1.7
    after = predict_bands(task, replace(p, flux=flux))
    same = fold == fold[2]
    np.testing.assert_allclose(after.mean[:, same], before.mean[:, same], rtol=1e-5)
    assert np.abs(after.mean[:, ~same] / before.mean[:, ~same] - 1).max() > 1e-4


def test_the_jacobian_is_that_of_finite_differences():
    task = few_galaxies()
    p = task.photometry
    found = jacobian(task, p)
    step = 0.02
    for j in (0, 4, len(p.bands) - 1):
        moved = []
        for sign in (1, -1):
            gain = np.ones(len(p.bands))
            gain[j] = np.exp(sign * step)
            one = replace(p, flux=p.flux * gain, error=p.error * gain)
            moved.append(np.log(np.abs(predict_bands(task, one).mean)))
        expected = (moved[0] - moved[1]) / (2 * step)
        np.testing.assert_allclose(found[:, :, j], expected, atol=5e-3)
    fold = fold_of(p.pivot)
    assert np.all(found[:, fold[:, None] == fold[None, :]] == 0)


def test_a_grey_offset_moves_every_prediction_along():
    task = few_galaxies()
    rows = jacobian(task, task.photometry).sum(axis=2)
    np.testing.assert_allclose(np.median(rows), 1.0, atol=0.1)


@pytest.mark.parametrize("form", ["mixture", "gaussian", "student-t", "flow"])
def test_moments_are_those_of_the_distribution(form):
    config = replace(CONFIG, head_real=form)
    torch.manual_seed(1)
    kinds = len(load_vocabulary())
    head = make_head(form, config, kinds)
    x = 0.3 * torch.randn(4, 1, config.head_width)
    kind = torch.tensor([load_vocabulary().index("flux")])
    parameters = head(x, kind).detach()
    parameters[..., 0] *= 0.1
    first, second = flux_moments(head, parameters)
    transform, _ = transform_of(load_vocabulary()["flux"], np.zeros(4))
    own = scaled_distribution(head, parameters[:, 0], transform)
    if form == "student-t":  # counts as a Gaussian: its centre, and no infinite width
        assert np.all(np.isfinite(second.numpy()))
        return
    np.testing.assert_allclose(first[:, 0], own.mean(), rtol=0.05)
    assert np.all(second.numpy() > 0)


# The whole, with the embedded model on simulated galaxies.


@pytest.fixture(scope="module")
def example(tmp_path_factory) -> QTable:
    path = tmp_path_factory.mktemp("zeropoints") / "example.ecsv"
    assert CliRunner().invoke(main, ["example", str(path)]).exit_code == 0
    table = read_catalog(path)
    kept = ["true_z", *(name for band in NARROW for name in (band, f"{band}_err"))]
    return table[kept]


def moved(table, offset):
    out = table.copy()
    for band, value in zip(NARROW, offset, strict=True):
        for name in (band, f"{band}_err"):
            out[name] = out[name] * 10 ** (0.4 * value)
    return out


def test_injected_offsets_come_back_through_files(example, tmp_path):
    offset = np.array([0.0, 0.08, -0.08, 0.0, 0.1, -0.1, 0.0, 0.06, -0.06, 0.0])
    source, target = tmp_path / "mine.fits", tmp_path / "zeropoints.ecsv"
    write_catalog(moved(example[:150], offset), source)
    words = ["zeropoints", source, "-o", target, "--context", "z=true_z", "--baseline", "none"]
    shown = CliRunner().invoke(main, [str(word) for word in words])
    assert shown.exit_code == 0, shown.output
    assert "zero points of 10 bands, from " in shown.stdout
    assert "a slope of " in shown.stdout
    assert "offsets are beyond 3 standard errors" in shown.stdout
    last = shown.stdout.strip().splitlines()[-1]
    assert last.startswith("this is a calibration to the model, not a measurement")
    found = read_zeropoints(target)
    assert found.meta["jp_zp_significant"] in shown.stdout
    assert found.meta["jp_zp_verdict"] in shown.stdout
    assert np.corrcoef(found.offset[0], offset)[0, 1] > 0.8
    assert np.std(found.offset[0] - offset) < 0.6 * np.std(offset)
    assert found.meta["jp_context"] == "z=true_z"
    assert found.meta["jp_zp_table"] == "mine.fits"
    assert len(found.meta["jp_weights"]) >= 8
    out = tmp_path / "out.fits"
    words = ["annotate", source, "--outputs", "z", "--zeropoints", target, "-o", out]
    shown = CliRunner().invoke(main, [str(word) for word in words])
    assert shown.exit_code == 0, shown.output
    assert read_catalog(out).meta["jp_zeropoints"] == found.label


def test_tiles_with_few_galaxies_get_those_of_the_whole(example, caplog):
    table = example[:70]
    table["field"] = ["A"] * 40 + ["B"] * 30
    table["field"][66:] = "C"
    found = fit_zeropoints(table, tile="field", baseline="none")
    assert found.tiles == ("", "A")
    assert found.column == "field"
    assert "2 of 3 tiles have fewer than 30 usable galaxies (B, C)" in caplog.text
    assert np.all(np.isfinite(found.error))
    assert found.n_galaxies[0, 0] > found.n_galaxies[1, 0] > 30


def test_what_cannot_be_fitted_is_refused(example, tmp_path):
    with pytest.raises(InputError, match="12 of 12 objects can be used, in 10 bands"):
        fit_zeropoints(example[:12])
    with pytest.raises(InputError, match="most: expected a number of at least 20, got 3"):
        fit_zeropoints(example, most=3)
    with pytest.raises(InputError, match="scatter: expected magnitudes"):
        fit_zeropoints(example, scatter=0.0)
    with pytest.raises(InputError, match="'field' is not in the table"):
        fit_zeropoints(example, tile="field")
    other = example[["J0400", "J0400_err", "rSDSS", "rSDSS_err"]]
    with pytest.raises(InputError, match="baseline: it has 2 of the 10 bands"):
        fit_zeropoints(example, baseline=other)
    with pytest.raises(UnknownNameError, match="model"):
        fit_zeropoints(example, model="nonesuch")
    shown = CliRunner().invoke(
        main,
        ["zeropoints", "x.fits", "-o", str(tmp_path / "a.ecsv"), "--survey", "a", "--map", "b"],
    )
    assert shown.exit_code == 2
    assert "exclude each other" in shown.output


def test_the_commands_of_the_page_run(example, project_root, tmp_path, monkeypatch):
    page = (project_root / "docs" / "zeropoints.md").read_text("utf-8")
    shown = re.search(r"```sh\n(jpassed .*?)```", page, flags=re.S)[1].splitlines()
    monkeypatch.chdir(tmp_path)
    write_catalog(example[:60], "catalogue.fits")  # of fewer rows and bands than `example` writes
    assert [line.split()[1] for line in shown] == ["example", "zeropoints", "annotate"]
    for line in shown[1:]:
        done = CliRunner().invoke(main, line.split()[1:])
        assert done.exit_code == 0, done.output
    assert "jp_z" in read_catalog("corrected.fits").colnames
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.S)
    said = {"table": example[:30]}
    said["table"]["TILE_ID"] = "2241"
    exec(compile(code, "zeropoints.md", "exec"), said)
    assert "jp_z" in said["annotated"].colnames
