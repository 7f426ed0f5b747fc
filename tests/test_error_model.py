"""The error model and its presets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jpassed.exceptions import FileError, InputError, UnknownNameError
from jpassed.jspectrum.error_model import (
    ErrorModel,
    list_noise,
    load_noise,
    read_noise,
    write_noise,
)
from jpassed.jspectrum.noise_fit import APERTURE_LAW, fit_catalogue, fit_tiles, sky_depth
from jpassed.units import from_ab_magnitude

MINIJPAS = load_noise("minijpas-v1")


def plain(**changes) -> ErrorModel:
    """Two tiles, two bands, 5-sigma flux of 5 and 50 microjansky, nothing else."""
    depth = -2.5 * np.log10(np.array([[5.0, 5.0], [50.0, 50.0]]) / 3631e6)
    columns = {
        "depth_jitter": 0.0,
        "poisson": 0.0,
        "floor": 0.0,
        "zp_scatter": 0.0,
        "aperture_scale": 0.0,
        "aperture_power": 1.0,
        "aperture_max": 10.0,
        "reference_weight": 0.5,
        **changes,
    }
    return ErrorModel(bands=("a", "b"), depth5=depth, **columns)


def test_embedded_presets_are_listed_and_frozen():
    assert list_noise() == [
        *("broadband-v1", "galex-ais", "galex-dis", "galex-mis", "jplus-dr3", "legacy-dr10"),
        "minijpas-v1",
    ]
    # The digests that figures are quoted for; a change needs a new name.
    assert MINIJPAS.digest.startswith("ce5504f82266")
    for name in list_noise():
        model = load_noise(name)
        assert model.name == name
        assert model.meta["reference"]


def test_minijpas_preset_has_its_tiles_and_bands():
    assert MINIJPAS.depth5.shape == (4, 60)
    assert MINIJPAS.bands[0] == "uJAVA" and MINIJPAS.bands[-3:] == ("gSDSS", "rSDSS", "iSDSS")
    assert MINIJPAS.depth5[0, MINIJPAS.bands.index("uJAVA")] == pytest.approx(23.6588, abs=1e-4)
    assert np.all(MINIJPAS.zp_scatter == 0.02)
    assert np.all((MINIJPAS.depth_jitter > 0.1) & (MINIJPAS.depth_jitter < 0.3))
    assert MINIJPAS.reference_weight[MINIJPAS.bands.index("rSDSS")] == 1.0


@pytest.mark.real_data
def test_minijpas_preset_follows_from_the_tile_table(real_data):
    from jpassed.jspectrum.build_presets import build_tile_preset

    built = build_tile_preset(real_data / "filters/jpas/minijpas.TileImage.csv")
    assert built.digest == MINIJPAS.digest


def test_published_presets_follow_from_their_sources():
    from jpassed.jspectrum.build_presets import build_published

    for model in build_published():
        assert model.digest == load_noise(model.name).digest


def test_preset_bands_have_passbands():
    from jpassed.filters import known_bands

    known = known_bands()
    for name in list_noise():
        assert set(load_noise(name).bands) <= set(known), name


def test_unknown_preset_lists_the_choices():
    with pytest.raises(UnknownNameError, match="minijpas-v1") as caught:
        load_noise("minijpas-v9")
    assert "galex-ais" in str(caught.value)


def test_presets_add_and_the_sum_keeps_the_aperture_band():
    both = load_noise("minijpas-v1+galex-mis")
    assert len(both.bands) == 62 and both.depth5.shape == (4, 62)
    assert both.reference_weight[60:].sum() == 0
    assert both.reference_weight[both.bands.index("rSDSS")] == 1
    np.testing.assert_array_equal(both.select(MINIJPAS.bands).depth5, MINIJPAS.depth5)
    with pytest.raises(InputError, match="share the bands"):
        both + load_noise("galex-ais")


def test_sum_of_unequal_tile_numbers_repeats_them():
    three = ErrorModel(**{**vars(plain()), "bands": ("c", "d"), "depth5": [[20, 20]] * 3})
    both = plain() + three
    assert both.n_tiles == 6
    np.testing.assert_array_equal(both.depth5[:, 0], plain().depth5[[0, 1, 0, 1, 0, 1], 0])


def test_select_without_the_aperture_band_uses_the_mean_flux():
    part = MINIJPAS.select(["J0660", "J0500"])
    assert part.bands == ("J0660", "J0500")
    np.testing.assert_array_equal(part.reference_weight, [0.5, 0.5])
    with pytest.raises(UnknownNameError, match="J0601"):
        MINIJPAS.select(["J0601"])


def test_sky_noise_is_a_fifth_of_the_depth():
    noisy, err = plain().apply(np.zeros((2, 2)), tile=[0, 1], normals=np.ones((2, 2)))
    np.testing.assert_allclose(noisy, [[1, 1], [10, 10]])
    np.testing.assert_allclose(err, [[1, 1], [10, 10]])


def test_each_term_by_hand():
    model = plain(poisson=0.04, floor=0.01, aperture_scale=1.0, aperture_power=0.5)
    flux = np.array([[400.0, 100.0]])
    factor = 1 + np.sqrt(250.0 / from_ab_magnitude(20.0))
    expected = np.sqrt(factor**2 + 0.04 * factor * flux + (0.01 * flux) ** 2)
    np.testing.assert_allclose(model.sigma(flux, 0), expected)
    np.testing.assert_allclose(
        model.sigma(flux, 0, reference=[0.0]), np.sqrt(1 + 0.04 * flux + (0.01 * flux) ** 2)
    )
    assert model.sigma(flux * 1e9, 0)[0, 0] > model.sigma(flux, 0)[0, 0]


def test_zero_point_scatter_is_not_in_the_error():
    model = plain(zp_scatter=0.02)
    flux = np.full((1, 2), 1000.0)
    noisy, err = model.apply(
        flux, tile=0, normals=np.zeros((1, 2)), zp_normals=np.array([[1.0, -1.0]])
    )
    np.testing.assert_allclose(noisy, 1000.0 * 10 ** np.array([[0.008, -0.008]]))
    np.testing.assert_allclose(err, 1.0)


def test_errors_are_calibrated_apart_from_the_zero_point():
    rng = np.random.default_rng(5)
    flux = np.repeat(from_ab_magnitude(rng.uniform(19, 24, (4000, 1))), 60, axis=1)
    still = ErrorModel(**{**vars(MINIJPAS), "zp_scatter": 0.0})
    tile = rng.integers(4, size=len(flux))
    normals = rng.standard_normal(flux.shape)
    noisy, _ = still.apply(flux, tile=tile, normals=normals)
    pull = (noisy - flux) / still.sigma(flux, tile)
    np.testing.assert_allclose(pull, normals, atol=1e-6)
    noisy, err = still.apply(flux, 11)
    pull = (noisy - flux) / err
    assert np.std(pull) == pytest.approx(1.0, abs=0.02)
    # Errors that follow the noisy flux are larger where noise was positive.
    assert abs(np.mean(pull)) < 0.03


def test_recovered_zero_point_scatter():
    flux = np.full((4000, 60), from_ab_magnitude(16.0))
    noisy, err = MINIJPAS.apply(flux, 3)
    scatter = np.std(-2.5 * np.log10(noisy / flux), axis=0)
    random = np.median(err / flux, axis=0) * 1.0857
    np.testing.assert_allclose(np.sqrt(np.mean(scatter**2 - random**2)), 0.02, rtol=0.05)


def test_depth_varies_beyond_the_listed_tiles():
    flux = np.zeros((500, 60))
    _, err = MINIJPAS.apply(flux, 1, tile=np.zeros(500, dtype=int))
    depth = -2.5 * np.log10(5 * err / 3631e6)
    np.testing.assert_allclose(depth.mean(axis=0), MINIJPAS.depth5[0], atol=0.06)
    np.testing.assert_allclose(depth.std(axis=0), MINIJPAS.depth_jitter, rtol=0.2)


def test_aperture_law_is_that_of_the_discs_it_was_fitted_to():
    # Total over 3 arcsec flux of exponential discs through 1.2 arcsec seeing (noise_fit).
    magnitude = np.array([17.0, 18.0, 19.0, 20.0, 21.0, 22.0, 23.0])
    discs = np.array([6.51, 4.39, 3.05, 2.24, 1.76, 1.48, 1.33])
    x = 10 ** (-0.4 * (magnitude - 20))
    law = 1 + APERTURE_LAW["aperture_scale"] * x ** APERTURE_LAW["aperture_power"]
    np.testing.assert_allclose(law, discs, rtol=0.04)


@settings(max_examples=40, deadline=None)
@given(
    flux=st.lists(st.floats(-1e4, 1e8), min_size=60, max_size=60),
    tile=st.integers(0, 3),
    seed=st.integers(0, 2**31),
)
def test_error_is_finite_and_positive_for_any_flux(flux, tile, seed):
    noisy, err = MINIJPAS.apply([flux], seed, tile=tile)
    assert np.all(np.isfinite(noisy)) and np.all(err > 0) and np.all(np.isfinite(err))
    again = MINIJPAS.apply([flux], seed, tile=tile)
    np.testing.assert_array_equal(noisy, again[0])


@settings(max_examples=30, deadline=None)
@given(bright=st.floats(0.01, 1e5), faint=st.floats(0.01, 1e5))
def test_error_grows_with_flux(bright, faint):
    low, high = sorted((bright, faint))
    sigma = [MINIJPAS.sigma(np.full((1, 60), f), 0) for f in (low, high)]
    assert np.all(sigma[0] <= sigma[1])


def test_unobserved_flux_stays_nan_and_leaves_the_others_alone():
    flux = np.full((1, 60), 10.0)
    whole = MINIJPAS.sigma(flux, 0)
    flux[0, 3] = np.nan
    part = MINIJPAS.sigma(flux, 0)
    assert np.isnan(part[0, 3])
    np.testing.assert_array_equal(np.delete(part, 3), np.delete(whole, 3))


def test_arrays_reproduce_apply():
    """What the torch twin has to compute, from the plain arrays alone."""
    model = load_noise("minijpas-v1+galex-ais")
    a = model.arrays()
    assert all(type(v) is np.ndarray and v.dtype == np.float64 for v in a.values())
    rng = np.random.default_rng(8)
    flux = 10 ** rng.uniform(-1, 3, (50, 62))
    n, nz, nd = rng.standard_normal((3, 50, 62))
    ns, tile = rng.standard_normal(50), rng.integers(4, size=50)
    sky = a["ab_zeropoint"] * 10 ** (-0.4 * (a["depth5"][tile] + a["depth_jitter"] * nd)) / 5
    x = np.maximum(flux @ a["reference_weight"], 0)[:, None] / a["aperture_pivot"]
    growth = np.exp(a["aperture_scatter"] * ns)[:, None] * x ** a["aperture_power"]
    factor = np.minimum(1 + a["aperture_scale"] * growth, a["aperture_max"])

    def total(f):
        source = a["poisson"] * factor * np.maximum(f, 0)
        return np.sqrt((factor * sky) ** 2 + source + (a["floor"] * f) ** 2)

    expected = flux * 10 ** (0.4 * a["zp_scatter"] * nz) + total(flux) * n
    noisy, err = model.apply(
        flux, tile=tile, normals=n, zp_normals=nz, depth_normals=nd, size_normals=ns
    )
    np.testing.assert_allclose(noisy, expected, rtol=1e-12)
    np.testing.assert_allclose(err, total(expected), rtol=1e-12)


def test_write_and_read_keep_numbers_and_digest(tmp_path):
    path = tmp_path / "mine.ecsv"
    write_noise(MINIJPAS, path)
    again = load_noise(path)
    assert again == MINIJPAS and again.name == "minijpas-v1"
    assert again.meta == MINIJPAS.meta
    assert [p.name for p in tmp_path.iterdir()] == ["mine.ecsv"]
    with pytest.raises(FileError, match="overwrite"):
        write_noise(MINIJPAS, path)
    write_noise(plain(), path, overwrite=True)
    assert load_noise(str(path)) == plain()


def test_a_changed_preset_is_noticed(tmp_path):
    path = tmp_path / "mine.ecsv"
    write_noise(MINIJPAS, path)
    path.write_text(path.read_text().replace("23.6588", "23.7588"))
    with pytest.raises(FileError, match="changed"):
        read_noise(path)
    lines = [line for line in path.read_text().splitlines() if "digest" not in line]
    path.write_text("\n".join(lines) + "\n")
    assert read_noise(path).depth5[0, 0] == 23.7588


def test_missing_and_foreign_files(tmp_path):
    with pytest.raises(FileError, match="does not exist"):
        load_noise(tmp_path / "none.ecsv")
    other = tmp_path / "other.ecsv"
    other.write_text("# %ECSV 1.0\n# ---\n# datatype:\n# - {name: x, datatype: int64}\nx\n1\n")
    with pytest.raises(FileError, match="not a noise preset"):
        load_noise(other)


def test_digest_depends_on_numbers_not_on_the_name():
    named = ErrorModel(**{**vars(plain()), "name": "other", "meta": {"reference": "x"}})
    assert named.digest == plain().digest and len(named.digest) == 64
    assert plain(poisson=0.1).digest != plain().digest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bands": ("a", "a")}, "distinct"),
        ({"bands": ()}, "distinct"),
        ({"depth5": [[20.0]]}, "shape"),
        ({"depth5": [[20.0, np.nan]]}, "finite"),
        ({"poisson": [-1.0, 0.0]}, "poisson"),
        ({"aperture_max": 0.5}, "at least 1"),
    ],
)
def test_bad_models_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        ErrorModel(**{**vars(plain()), **changes})


@pytest.mark.parametrize(
    ("flux", "settings_", "message"),
    [
        (np.zeros((3, 5)), {"rng": 1}, r"shape \(objects, 2\)"),
        (np.zeros((3, 2)), {}, "random generator"),
        (np.zeros((3, 2)), {"rng": 1, "tile": 2}, r"0\.\.1"),
        (np.zeros((3, 2)), {"rng": 1, "tile": 0.5}, "integers"),
        (np.zeros((3, 2)), {"rng": 1, "normals": np.zeros(3)}, "normals must have shape"),
    ],
)
def test_bad_arguments_are_refused(flux, settings_, message):
    with pytest.raises(InputError, match=message):
        plain().apply(flux, **settings_)


def test_fit_to_tiles_keeps_depths_and_pools_the_scatter():
    tile = ["t1", "t1", "t2", "t2"]
    model = fit_tiles(
        tile, ["a", "b"] * 2, [22.0, 23.0, 22.4, 23.0], [22.0] * 4, [100.0] * 4, reference="b"
    )
    np.testing.assert_allclose(model.depth5, [[22.0, 23.0], [22.4, 23.0]])
    kernel = (4 / 6) ** 0.2
    np.testing.assert_allclose(
        model.depth_jitter, kernel * np.sqrt([0.08 / 2 + 0.04 / 2, 0.04 / 2]), atol=1e-4
    )
    np.testing.assert_allclose(model.poisson, from_ab_magnitude(22.0) / 100, rtol=1e-4)
    np.testing.assert_array_equal(model.reference_weight, [0, 1])
    with pytest.raises(InputError, match="no depth"):
        fit_tiles(tile, ["a", "b", "a", "c"], [22.0] * 4, [22.0] * 4, [100.0] * 4)
    with pytest.raises(InputError, match="twice"):
        fit_tiles(tile, ["a", "a", "a", "b"], [22.0] * 4, [22.0] * 4, [100.0] * 4)


def test_fit_to_a_catalogue_recovers_the_model():
    truth = plain(poisson=0.05, floor=0.02)
    rng = np.random.default_rng(4)
    flux = 10 ** rng.uniform(-1, 4, (4000, 2))
    tile = rng.integers(2, size=4000)
    noisy, err = truth.apply(flux, rng, tile=tile)
    err[:40] *= 5  # blended objects
    err[5, 0] = np.nan
    fit = fit_catalogue(["a", "b"], noisy, err, tile)
    np.testing.assert_allclose(fit.depth5, truth.depth5, atol=0.02)
    np.testing.assert_allclose(fit.poisson, 0.05, rtol=0.1)
    np.testing.assert_allclose(fit.floor, 0.02, rtol=0.05)
    assert np.all(fit.depth_jitter < 0.01)


def test_fit_to_a_catalogue_measures_the_depth_scatter():
    truth = plain(depth_jitter=0.2)
    noisy, err = truth.apply(np.full((4000, 2), 3.0), 9, tile=0)
    fit = fit_catalogue(["a", "b"], noisy, err)
    np.testing.assert_allclose(fit.depth_jitter, 0.2, rtol=0.1)


def test_fit_to_a_catalogue_refuses_what_it_cannot_fit():
    with pytest.raises(InputError, match="at least 20"):
        fit_catalogue(["a"], np.ones((5, 1)), np.ones((5, 1)))
    flux = np.linspace(1, 100, 50)[:, None]
    with pytest.raises(InputError, match="relative errors"):
        fit_catalogue(["a"], flux, 0.1 * flux)
    with pytest.raises(InputError, match="shape"):
        fit_catalogue(["a", "b"], flux, flux)


def test_sky_depth_takes_the_photons_out():
    f5 = from_ab_magnitude(19.9)
    sky = from_ab_magnitude(sky_depth(19.9, 18.82, 100.0)) / 5
    poisson = from_ab_magnitude(18.82) / 100.0
    assert sky**2 + poisson * f5 == pytest.approx((f5 / 5) ** 2)
    with pytest.raises(InputError, match="photons"):
        sky_depth(19.9, 18.82, 10.0)


def test_presets_module_writes_and_leaves_existing_files(tmp_path: Path, caplog):
    from jpassed.jspectrum.build_presets import main

    caplog.set_level("INFO")
    main(["--output", str(tmp_path)])
    made = sorted(p.stem for p in tmp_path.iterdir())
    assert made == [
        *("broadband-v1", "galex-ais", "galex-dis", "galex-mis", "jplus-dr3", "legacy-dr10"),
    ]
    before = (tmp_path / "galex-ais.ecsv").stat().st_mtime_ns
    main(["--output", str(tmp_path)])
    assert (tmp_path / "galex-ais.ecsv").stat().st_mtime_ns == before
    assert "left alone" in caplog.text
