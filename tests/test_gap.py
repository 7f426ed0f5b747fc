"""The library likelihood of the gap between simulated and real galaxies, and the priors by name."""

import sys

import numpy as np
import pytest
import torch
from simulator_grids import toy_grid

from jpassed.exceptions import InputError
from jpassed.simulator import GalaxySimulator
from jpassed.simulator.attenuation import TemplateError
from jpassed.simulator.priors import PRESETS, load_priors

BANDS = ("b1", "b2", "b3", "b4")


@pytest.fixture(scope="module", autouse=True)
def benchmarks(project_root):
    sys.path.insert(0, str(project_root / "benchmarks"))
    yield
    sys.path.remove(str(project_root / "benchmarks"))


def toy_library(monkeypatch, size=8000):
    """Power laws whose slope tells the redshift; magnitudes of any kind."""
    import gap_library

    rng = np.random.default_rng(4)
    z = rng.uniform(0.02, 0.4, size)
    mag = rng.uniform(15.0, 18.0, size)
    colour = np.arange(4.0) / 3.0 - 1 / 3
    shape = 10 ** (0.4 * (4 * z[:, None] + 0.05 * rng.standard_normal((size, 1))) * colour)
    flux = 3631e6 * 10 ** (-0.4 * mag[:, None]) * shape
    stored = {
        "flux": flux, "z": z, "kind": np.zeros(size, int), "log_weight": 0.6 * np.log(10) * -mag,
    }  # fmt: skip
    monkeypatch.setattr(gap_library.GapLibrary, "_stored", lambda self, *a: stored)

    class Band:
        def __init__(self, name):
            self.name = name

    return gap_library.GapLibrary(None, [Band(b) for b in BANDS], "b2", size), stored


def real_ones(stored, n=150, error=0.01, shift=0.0):
    from gap_library import Galaxies

    rng = np.random.default_rng(5)
    flux = stored["flux"][:n] * (1 + error * rng.standard_normal((n, 4)))
    flux[:, 0] *= 10 ** (-0.4 * shift)
    seen = np.ones((n, 4), bool)
    return Galaxies(BANDS, flux, error * flux, seen, stored["z"][:n], "b2")


def test_redshifts_of_galaxies_like_the_library(monkeypatch):
    from jpassed.evaluation import bias, coverage, sigma_nmad

    library, stored = toy_library(monkeypatch)
    own = real_ones(stored)
    found = library.redshifts(own, floor=0.005)
    # the intrinsic scatter of 0.05 in 4 z is 0.0125 in z
    assert 0.006 < sigma_nmad(found["median"], own.z) < 0.017
    assert abs(bias(found["median"], own.z)) < 0.003
    assert 0.55 < coverage(found["pit"], 0.68) < 0.8
    assert found["log"].mean() > 2.0  # the prior has ln(1 / 0.38) = 1.0
    assert np.median(found["chi2"]) < 4 and found["draws"].min() > 5


def test_an_offset_shows_as_a_residual_and_costs_evidence(monkeypatch):
    library, stored = toy_library(monkeypatch)
    residual, width, evidence = library.residuals(real_ones(stored), 0.005)
    off, _, worse = library.residuals(real_ones(stored, shift=0.1), 0.005)
    assert np.abs(np.median(residual, axis=0)).max() < 0.01
    assert np.median(off[:, 0]) == pytest.approx(0.1, abs=0.02)
    assert worse.mean() < evidence.mean() - 2
    assert (width > 0).all()


def test_missing_bands_are_not_predicted_from_themselves(monkeypatch):
    library, stored = toy_library(monkeypatch)
    own = real_ones(stored, n=10).only(("b1", "b2", "b3"))
    residual, _, _ = library.residuals(own)
    assert np.isnan(residual[:, 3]).all() and np.isfinite(residual[:, :3]).all()


def test_zero_points_are_added_to_magnitudes(monkeypatch):
    from gap_samples import shifted

    _, stored = toy_library(monkeypatch)
    own = real_ones(stored, n=5)
    moved = shifted(own, (0.1, 0.0))
    np.testing.assert_allclose(-2.5 * np.log10(moved.flux / own.flux)[:, 0], 0.1)
    np.testing.assert_allclose(moved.flux[:, 1:], own.flux[:, 1:])
    np.testing.assert_allclose(moved.error / moved.flux, own.error / own.flux)


def test_every_variant_is_one_that_the_simulator_takes():
    from gap_variants import ALONE, CLOSED, NARROW

    digests = {trial.variant.digest() for trial in ALONE if trial.offsets == "as read"}
    # Petrosian fluxes and the trained simulator share a library; all others differ
    assert len(digests) == sum(t.offsets == "as read" for t in ALONE) - 1
    for variant in [trial.variant for trial in (*ALONE, *CLOSED)] + [v for _, v in NARROW]:
        TemplateError(variant.settings()["template_error"])
    assert CLOSED[3].variant.settings()["name"] == "galaxies-v2"


@pytest.mark.real_data
def test_halves_do_not_share_galaxies(real_data):
    from gap_samples import UGRIZ, brown, ebv, halves, sdss

    whole = sdss(real_data)
    assert 6500 < len(whole) < 7000
    first, second = halves(whole, 10_000)
    assert len(first) + len(second) == len(whole)
    np.testing.assert_array_equal(first.z[:3], whole.z[[0, 2, 4]])
    np.testing.assert_array_equal(second.z[:3], whole.z[[1, 3, 5]])
    assert (first.magnitude > 14).all() and (first.magnitude < 17.8).all()
    assert first.only(UGRIZ).observed[:, 5:].sum() == 0
    dust = ebv(real_data, first)
    assert 0.02 < np.median(dust) < 0.03
    seds = brown(real_data)
    assert len(seds) == 90 and 25 < seds.observed.sum(axis=1).mean() < 40


@pytest.mark.real_data
def test_the_velocity_dispersion_hardly_matters_in_narrow_bands(real_data):
    from gap_samples import broadened

    assert np.nanquantile(np.abs(broadened(real_data, 300.0)), 0.95) < 1.0


def test_priors_by_name(tmp_path):
    first, second = load_priors("galaxies-v1"), load_priors("galaxies-v2")
    assert first == load_priors() and second["name"] == "galaxies-v2"
    assert set(PRESETS) == {first["name"], second["name"]}
    changed = {key for key in first if first[key] != second[key]} - {"name"}
    assert changed == {"history", "metallicity"}
    assert second["metallicity"]["median"] == first["metallicity"]["median"]


def test_only_the_modes_that_the_priors_name():
    settings = load_priors()["template_error"]
    before = TemplateError(settings)
    assert list(before.modes) == ["alpha", "sodium"]
    more = {**settings, "modes": {**settings["modes"], "old": settings["modes"]["alpha"]}}
    after = TemplateError(more)
    assert list(after.modes) == ["alpha", "sodium", "old"] and after.size == before.size + 1
    wave = np.array([3000.0, 4100.0, 5600.0, 9000.0])
    old = after.functions(wave)[-1]
    assert old[0] > 0.03 and old[1] > 0.01 and old[2] < -0.015 and abs(old[3]) < 1e-4
    np.testing.assert_array_equal(after.functions(wave)[:-1], before.functions(wave))
    with pytest.raises(InputError, match="some of \\['alpha', 'old', 'sodium'\\]"):
        TemplateError({**settings, "modes": {**settings["modes"], "iron": {}}})


def test_a_simulator_with_either_priors():
    wave = np.linspace(5400.0, 7000.0, 50)
    band = ("rSDSS", wave, np.exp(-0.5 * ((wave - 6200.0) / 300.0) ** 2))
    made = []
    for name in (None, "galaxies-v1", "galaxies-v2"):
        simulator = GalaxySimulator(toy_grid(), [band], priors=name, r_limit=20.0)
        made.append(simulator.sample(64, torch.Generator().manual_seed(1)))
    torch.testing.assert_close(made[0].labels["logmstar"], made[1].labels["logmstar"])
    assert not torch.equal(made[1].labels["logzstar"], made[2].labels["logzstar"])
