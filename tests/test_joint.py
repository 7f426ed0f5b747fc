"""Joint draws by any-order requests: against a known Gaussian, and with a network."""

from __future__ import annotations

import numpy as np
import pytest
from annotation_tables import BANDS, make_table, masked, small_model
from joint_toy import COVARIANCE, MEAN, NAMES, VOCABULARY, conditional, label, scaled, toy_sampler
from scipy import stats

from jpassed.annotation import infer
from jpassed.annotation.order import chain, leans_on, most_labels
from jpassed.evaluation.ranks import density_ranks, distance_ranks, projected_ranks
from jpassed.exceptions import InputError, UnknownNameError
from jpassed.posteriors import Gaussian, Posterior

ORDERS = [None, NAMES[::-1], ("logmstar", "logage_l")]


# --- against the Gaussian -----------------------------------------------------------------------


@pytest.mark.parametrize("order", ORDERS)
def test_draws_have_the_joint_distribution(order):
    draws = toy_sampler(2).sample(2000, NAMES, order=order, rng=3)
    y = scaled(draws)
    error = np.sqrt(np.diag(COVARIANCE) / len(y))
    np.testing.assert_array_less(np.abs(y.mean(0) - MEAN), 4 * error)
    np.testing.assert_allclose(np.cov(y.T), COVARIANCE, atol=5 * SIGMA_OF_COVARIANCE / 63)
    assert draws.drawn == chain(NAMES, order)


SIGMA_OF_COVARIANCE = float(np.diag(COVARIANCE).max()) * np.sqrt(2)


@pytest.mark.parametrize("order", ORDERS)
def test_the_density_is_that_of_the_gaussian_whatever_the_order(order):
    sampler = toy_sampler(3)
    draws = sampler.sample(5, NAMES, order=order, rng=1)
    jacobian = 0.0
    for name in NAMES:
        kind = VOCABULARY[name]
        jacobian = jacobian - np.log(kind.width) - (np.log1p(draws["z"]) if name == "z" else 0.0)
    expected = stats.multivariate_normal(MEAN, COVARIANCE).logpdf(scaled(draws)).reshape(3, 5)
    np.testing.assert_allclose(draws.log_density, expected + jacobian, atol=2e-4)
    one = {name: draws[name][:, 2] for name in NAMES}
    again = sampler.logpdf(one, order=order)
    np.testing.assert_allclose(again, draws.log_density[:, 2], atol=2e-4)


def test_ranks_of_the_truth_are_uniform_and_notice_what_is_wrong():
    draws = toy_sampler(400).sample(30, NAMES, rng=1)
    x = scaled(draws).reshape(400, 30, 4)
    truth = np.random.default_rng(5).multivariate_normal(MEAN, COVARIANCE, 400)
    density = stats.multivariate_normal(MEAN, COVARIANCE)
    found = {
        "directions": projected_ranks(x, truth, 1),
        "points": distance_ranks(x, truth, 1),
        "contours": density_ranks(density.logpdf(x), density.logpdf(truth), 1),
    }
    for name, p in found.items():
        assert stats.kstest(p, "uniform").pvalue > 1e-3, name
    narrow = MEAN + 0.5 * (x - MEAN)
    assert stats.kstest(projected_ranks(narrow, truth, 1), "uniform").pvalue < 1e-3
    assert stats.kstest(distance_ranks(narrow, truth, 1), "uniform").pvalue < 1e-3
    # Right marginals, but independent of each other: every marginal rank stays uniform.
    mixed = [np.random.default_rng(i).permuted(x[..., i], axis=1) for i in range(4)]
    shuffled = density.logpdf(np.stack(mixed, -1))
    p = density_ranks(shuffled, density.logpdf(truth), 1)
    assert stats.kstest(p, "uniform").pvalue < 1e-3


def test_an_exact_label_is_a_point_and_is_known_to_the_rest():
    z = np.array([0.2, 0.45])
    sampler = toy_sampler(2, {"z": label(z)}, contexts=8000)
    draws = sampler.sample(4000, ("z", "logmstar"), rng=2)
    np.testing.assert_allclose(draws["z"], np.broadcast_to(z[:, None], (2, 4000)), rtol=1e-6)
    for row in range(2):
        mean, sigma = conditional("logmstar", {"z": (VOCABULARY["z"].to_scaled(z[row]), 0.0)})
        y = VOCABULARY["logmstar"].to_scaled(draws["logmstar"][row])
        assert stats.kstest(y, stats.norm(mean, sigma).cdf).pvalue > 1e-3
    assert max(sampler.predictor.network.contexts) == 2  # one question an object


def test_a_noisy_label_of_the_drawn_quantity_is_a_measurement():
    value, error = 10.6, 0.4
    sampler = toy_sampler(2, {"logmstar": label([value, value], error, [True, False])})
    draws = sampler.sample(4000, ("z", "logmstar"), rng=2)
    kind = VOCABULARY["logmstar"]
    seen = (kind.to_scaled(value), error / kind.width)
    # z: told by the noisy mass; mass: product of posterior and likelihood.
    mean, sigma = conditional("z", {"logmstar": seen})
    y = VOCABULARY["z"].to_scaled(draws["z"])
    assert stats.kstest(y[0], stats.norm(mean, sigma).cdf).pvalue > 1e-3
    assert stats.kstest(y[1], stats.norm(*conditional("z", {})).cdf).pvalue > 1e-3
    mean, sigma = conditional("logmstar", {})
    weight = sigma**2 / (sigma**2 + seen[1] ** 2)
    mean = mean + weight * (seen[0] - mean)
    m = kind.to_scaled(draws["logmstar"][0])
    assert stats.kstest(m, stats.norm(mean, sigma * np.sqrt(1 - weight)).cdf).pvalue > 1e-3
    assert np.isnan(draws.log_density[0]).all()
    assert np.isfinite(draws.log_density[1]).all()


def test_fewer_labels_than_drawn_stay_in_the_context():
    sampler = toy_sampler(1, most_labels=1)
    y = scaled(sampler.sample(3000, NAMES, rng=1))
    found = np.cov(y.T)
    np.testing.assert_allclose(found[0], COVARIANCE[0], atol=0.03)  # redshift always stays
    rest = COVARIANCE[0, 1] * COVARIANCE[0, 2] / COVARIANCE[0, 0]  # all that redshift tells
    assert found[1, 2] == pytest.approx(rest, abs=0.02)
    assert abs(rest - COVARIANCE[1, 2]) > 0.03


# --- order and bookkeeping ----------------------------------------------------------------------


def test_default_order():
    assert chain(["ew_halpha", "flux:J0660", "logmstar", "z", "mabs_r"]) == (
        "z", "mabs_r", "logmstar", "ew_halpha", "flux:J0660",
    )  # fmt: skip
    assert chain(["z", "av", "logmstar"], ["av"]) == ("z", "av", "logmstar")
    assert chain(["z", "av", "logmstar"], ["av", "z"]) == ("av", "z", "logmstar")
    assert set(chain(VOCABULARY.scalars)) == set(VOCABULARY.scalars)


def test_what_stays_in_the_context():
    drawn = ("z", "mabs_r", "ur_rest", "logmstar", "av", "logage_l")
    assert leans_on("ew_halpha", drawn, 3) == ("z", "logmstar", "av")
    assert leans_on("ew_halpha", drawn, 20) == drawn
    assert most_labels({}) == 5
    assert most_labels({"training": {"mix": {"most_labels": 12}}}) == 12


@pytest.mark.parametrize(
    ("order", "error", "said"),
    [
        (["tau"], UnknownNameError, "tau"),
        (["z", "z"], InputError, "once"),
        ("z", InputError, "names"),
        (["flux:J0660", "av"], InputError, "last"),
    ],
)
def test_orders_that_make_no_sense(order, error, said):
    with pytest.raises(error, match=said):
        chain(["z", "av", "flux:J0660"], order)


def test_draws_do_not_depend_on_batches_and_go_on_where_they_stopped():
    names = ("z", "logmstar")
    whole = toy_sampler(7).sample(6, names, rng=4)
    small = toy_sampler(7, contexts=12).sample(6, names, rng=4)
    later = list(toy_sampler(7, contexts=12).batches(6, names, rng=4, start=3))
    assert [rows.start for rows, _ in later] == [3, 5]
    for name in names:
        np.testing.assert_allclose(small[name], whole[name], rtol=1e-6)
        resumed = np.concatenate([draws[name] for _, draws in later])
        np.testing.assert_allclose(resumed, whole[name][3:], rtol=1e-6)


def test_few_redshifts_are_stratified_and_save_work():
    sampler = toy_sampler(2)
    draws = sampler.sample(40, ("z", "logmstar", "ur_rest"), rng=1, redshifts=8)
    assert sampler.predictor.network.contexts == [2, 16, 80]
    for row in range(2):
        values, counts = np.unique(draws["z"][row], return_counts=True)
        assert list(counts) == [5] * 8
        level = stats.norm(MEAN[0], np.sqrt(COVARIANCE[0, 0])).cdf(
            VOCABULARY["z"].to_scaled(values)
        )
        np.testing.assert_array_equal(np.floor(8 * level), np.arange(8))
        assert len(np.unique(draws["logmstar"][row])) == 40
    y = scaled(toy_sampler(20).sample(200, NAMES[:2], rng=1, redshifts=20), NAMES[:2])
    np.testing.assert_allclose(np.cov(y.T), COVARIANCE[:2, :2], atol=0.02)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda s: s.sample(0, ["z"]), "number of draws"),
        (lambda s: s.sample(2.5, ["z"]), "number of draws"),
        (lambda s: s.sample(2, []), "at least one"),
        (lambda s: s.sample(2, ["z"], redshifts=0), "redshifts"),
        (lambda s: s.sample(2, ["z", "logmstar"], order=["logmstar", "z"], redshifts=2), "first"),
        (lambda s: list(s.batches(2, ["z"], start=9)), "start"),
        (lambda s: s.sample(2, ["z"], rng="x"), "seed"),
        (lambda s: s.logpdf({"z": np.zeros(2)}), "one value per object"),
        (lambda s: s.logpdf({"logssfr": np.zeros(3)}), "no density"),
    ],
)
def test_arguments_that_make_no_sense(call, said):
    with pytest.raises(InputError, match=said):
        call(toy_sampler(3))


# --- with a network -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table():
    out = masked(make_table(8), "J0470", [1, 4])
    out["z_spec_err"] = 0.01
    return out


@pytest.fixture(scope="module")
def posterior(table):
    return infer(table, model=small_model(), outputs=["z", "logmstar", "av"])


def test_the_first_quantity_follows_its_marginal_posterior(posterior):
    draws = posterior.sample(300, rng=1)
    assert draws.names == ("z", "logmstar", "av")
    assert draws["z"].shape == (8, 300)
    np.testing.assert_array_equal(draws["z"], posterior.joint.sample(300, ("z",), rng=1)["z"])
    for row in range(8):
        level = posterior["z"][row : row + 1].cdf(draws["z"][row : row + 1])[0]
        assert stats.kstest(level, "uniform").pvalue > 1e-4


def test_later_quantities_are_answers_to_contexts_with_the_draws(table, posterior):
    """A draw's density is what the model says with the drawn redshift as a column."""
    draws = posterior.sample(1, names=("z", "logmstar"), rng=2)
    told = table.copy()
    told["drawn"] = draws["z"][:, 0].astype(np.float32)
    direct = infer(told, model=small_model(), outputs=["logmstar"], context={"z": "drawn"})
    expected = posterior.logpdf("z", draws["z"][:, 0])
    expected = expected + direct.logpdf("logmstar", draws["logmstar"][:, 0])
    np.testing.assert_allclose(draws.log_density[:, 0], expected, atol=5e-3)
    given = {name: draws[name][:, 0] for name in draws}
    np.testing.assert_allclose(posterior.joint_logpdf(given), expected, atol=5e-3)


def test_rows_and_seeds(posterior):
    one, again = (posterior.sample(4, rng=7) for _ in range(2))
    for name in one:
        np.testing.assert_array_equal(one[name], again[name])
    assert not np.array_equal(one["z"], posterior.sample(4, rng=8)["z"])
    part = posterior[2:5]
    assert len(part.joint) == 3
    assert part.sample(4, rng=7)["z"].shape == (3, 4)
    seen = []
    posterior.sample(4, rng=7, progress=lambda done, n: seen.append((done, n)))
    assert seen[-1] == (8, 8)


def test_bandfluxes_and_lines(posterior):
    draws = posterior.sample(40, names=("flux:J0540", "ew_halpha", "z", "n2"), rng=1)
    assert draws.drawn[-1] == "flux:J0540"
    assert draws.units["flux:J0540"] == "uJy"
    assert np.isfinite(draws["flux:J0540"]).all()
    beyond = 6564.61 * (1 + draws["z"]) > 9600.0
    assert 0 < beyond.sum() < beyond.size
    np.testing.assert_array_equal(np.isnan(draws["ew_halpha"]), beyond)
    assert np.isnan(draws["n2"][beyond]).all()


def test_spectroscopic_redshifts(table):
    photometric = infer(table, model=small_model(), outputs=["z"])
    told = infer(table, model=small_model(), outputs=["z"], context={"z": "z_spec"})
    z = np.asarray(table["z_spec"])[:, None]
    draws = told.sample(300, rng=1)["z"]
    assert (np.abs(draws - z) < 0.061).all()
    grid = z + np.linspace(-0.05, 0.05, 4001)
    weight = photometric["z"].pdf(grid) * np.exp(-0.5 * ((grid - z) / 0.01) ** 2)
    total = np.cumsum(weight, axis=1) / weight.sum(axis=1, keepdims=True)
    for row in range(8):
        level = np.interp(draws[row], grid[row], total[row])
        assert stats.kstest(level, "uniform").pvalue > 1e-4


def test_labels_without_any_band():
    table = make_table(4)["id", "z_spec", "mass"]
    posterior = infer(
        table, model=small_model(), outputs=["logsfr"], context={"z": "z_spec", "logmstar": "mass"}
    )
    draws = posterior.sample(20, names=("logsfr", "logssfr"), rng=1)
    mass = np.asarray(table["mass"], dtype=np.float32)[:, None]
    np.testing.assert_allclose(draws["logssfr"], draws["logsfr"] - mass, rtol=1e-5)
    assert (draws.std("logsfr") > 0).all()


def test_rows_without_anything(table):
    blind = table.copy()
    for band in BANDS:
        blind = masked(blind, band, [2])
    draws = infer(blind, model=small_model(), outputs=["z", "av"]).sample(10, rng=1)
    assert np.isfinite(draws["av"]).all()


def test_posteriors_without_a_model_say_so():
    lonely = Posterior({"z": Gaussian(np.array([0.3, 0.5]), np.array([0.01, 0.02]))})
    assert lonely.sample("z", 5).shape == (2, 5)
    with pytest.raises(InputError, match="infer"):
        lonely.sample(5)
    with pytest.raises(InputError, match="infer"):
        lonely.joint_logpdf({"z": [0.1, 0.2]})


def test_one_quantity_has_no_order(posterior):
    with pytest.raises(InputError, match="names="):
        posterior.sample("z", 5, order=("z",))
    first = posterior["z"][:3]
    with pytest.raises(InputError, match="joint draws are of 8 objects"):
        Posterior({"z": first}, joint=posterior.joint)
