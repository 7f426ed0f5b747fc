"""Simulated tables: columns and units, seeds, selection, noise, and straight into `annotate`."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from annotation_tables import numbers, small_model
from astropy import units as u
from astropy.table import QTable
from simulator_grids import toy_grid

import jpassed.simulator
from jpassed.annotation import annotate
from jpassed.exceptions import FileError, InputError, UnknownNameError
from jpassed.filters import load_filters
from jpassed.io import read_catalog, write_catalog
from jpassed.jspectrum.error_model import load_noise
from jpassed.simulation import simulate
from jpassed.surveys import read_photometry
from jpassed.vocabulary import load_vocabulary

N = 500


@functools.cache
def shared_simulator(bands, **options):
    """Preparing a simulator takes seconds: one for each set of bands serves all tests."""
    filters = load_filters("jpas")
    if "galex_fuv" in bands:
        filters = filters + load_filters("galex")
    passbands = [(b.name, b.wave, b.throughput) for b in filters]
    return REAL_SIMULATOR(toy_grid(), passbands, **options)


REAL_SIMULATOR = jpassed.simulator.GalaxySimulator


@pytest.fixture(scope="module", autouse=True)
def toy():
    """The grids of these tests are toys, but where real data are asked."""
    patch = pytest.MonkeyPatch()
    patch.setattr(jpassed.simulator, "read_ssp", lambda path: toy_grid())
    patch.setattr(
        jpassed.simulator,
        "GalaxySimulator",
        lambda grids, passbands, **options: shared_simulator(
            tuple(name for name, _, _ in passbands), **options
        ),
    )
    yield
    patch.undo()


@pytest.fixture(scope="module")
def table(toy) -> QTable:
    return simulate(N, seed=5, ssp="toy.npz")


def same_tables(one: QTable, other: QTable) -> None:
    assert one.colnames == other.colnames
    for name in one.colnames:
        np.testing.assert_array_equal(numbers(one[name]), numbers(other[name]), err_msg=name)


def test_columns_and_units(table):
    bands = [*load_filters("jpas").names, *load_filters("galex").names]
    truth = [f"true_{name}" for name in load_vocabulary().scalars]
    pairs = [name for band in bands for name in (band, f"{band}_err")]
    assert table.colnames == ["id", *pairs, *truth, "true_mag_rsdss"]
    assert len(table) == N
    for band in bands:
        for name in (band, f"{band}_err"):
            assert table[name].unit == u.uJy
            assert np.isfinite(numbers(table[name])).all()
            assert table[name].info.description
            assert "phot.flux.density" in table[name].info.meta["ucd"]
        assert (numbers(table[f"{band}_err"]) > 0).all()
    for kind in load_vocabulary():
        if kind.name != "flux":
            column = table[f"true_{kind.name}"]
            assert (column.unit or u.dimensionless_unscaled) == u.Unit(kind.unit)
            assert kind.description in column.info.description
    assert table["true_z"].info.meta["ucd"] == "src.redshift"
    assert table["true_mag_rsdss"].unit == u.mag
    assert list(table["id"]) == list(range(1, N + 1))


def test_truth_is_within_its_support(table):
    for kind in load_vocabulary():
        if kind.name == "flux":
            continue
        value = numbers(table[f"true_{kind.name}"])
        value = value[np.isfinite(value)]
        assert len(value) > 0.2 * N, kind.name
        assert value.min() >= kind.lower - 1e-4, kind.name
        assert value.max() <= kind.upper + 1e-4, kind.name


def test_lines_out_of_range_are_no_truth(table):
    z = numbers(table["true_z"])
    hidden = np.isnan(numbers(table["true_ew_halpha"]))
    np.testing.assert_array_equal(hidden, 6564.61 * (1 + z) >= 9600)
    assert 0 < hidden.sum() < N


def test_selection_is_on_the_noisy_magnitude(table):
    noisy = -2.5 * np.log10(numbers(table["rSDSS"]) / 3631e6)
    assert noisy.max() < 22.7
    true = numbers(table["true_mag_rsdss"])
    assert true.max() > 22.7  # scattered in
    assert true.max() < 24.0
    assert np.median(np.abs(noisy - true)) < 0.1
    bright = simulate(20, seed=5, ssp="toy.npz", r_select=20.0)
    assert (-2.5 * np.log10(numbers(bright["rSDSS"]) / 3631e6) < 20.0).all()


def test_seeds(table):
    same_tables(simulate(60, seed=5, ssp="toy.npz"), table[:60])
    assert table.meta["seed"] == 5
    other = simulate(60, seed=6, ssp="toy.npz")
    assert not np.array_equal(other["true_z"], table["true_z"][:60])
    fresh = simulate(20, ssp="toy.npz")
    same_tables(simulate(20, seed=fresh.meta["seed"], ssp="toy.npz"), fresh)


def test_meta_names_noise_and_selection(table):
    assert table.meta["noise"] == "minijpas-v1+galex-ais"
    digests = [load_noise(name).digest[:16] for name in ("minijpas-v1", "galex-ais")]
    assert table.meta["noise_digest"] == "+".join(digests)
    assert table.meta["r_select"] == 22.7
    assert table.meta["r_limit"] == 24.0
    assert table.meta["ssp"] == "toy.npz"
    assert table.meta["jpassed_version"]


def test_without_galex_and_other_depths(table):
    none = simulate(20, seed=5, ssp="toy.npz", galex=None)
    assert not any("galex" in name for name in none.colnames)
    assert none.meta["noise"] == "minijpas-v1"
    deep = simulate(N, seed=5, ssp="toy.npz", galex="dis")
    shallow, deeper = (np.median(numbers(t["galex_nuv_err"])) for t in (table, deep))
    assert deeper < 0.3 * shallow


def test_zero_points_scatter_beyond_the_stated_errors(table):
    """Bright objects deviate from truth by the 0.02 mag that `_err` does not know."""
    r, error = numbers(table["rSDSS"]), numbers(table["rSDSS_err"])
    true = 3631e6 * 10 ** (-0.4 * numbers(table["true_mag_rsdss"]))
    bright = r > 100 * error
    assert bright.sum() > 20
    chi2 = np.mean(((r - true) / error)[bright] ** 2)
    assert chi2 > 2
    # Faint narrow bands, where photon noise rules, are as noisy as they say: negative flux too.
    faint = numbers(table["J0378"]) < numbers(table["J0378_err"])
    assert (numbers(table["J0378"])[faint] < 0).any()


def test_it_feeds_annotate_as_it_is(table):
    photometry = read_photometry(table)
    assert set(photometry.bands) == {*load_filters("jpas").names, "galex_fuv", "galex_nuv"}
    assert photometry.observed.all()
    few = table[:8]
    result = annotate(few, model=small_model(), outputs=["z", "logmstar"])
    assert list(result["jp_nbands"]) == [62] * 8
    assert result.colnames[: len(few.colnames)] == few.colnames
    blind = few.copy()
    for name in few.colnames:
        if name.startswith("true_"):
            del blind[name]
    again = annotate(blind, model=small_model(), outputs=["z", "logmstar"])
    np.testing.assert_array_equal(again["jp_z"], result["jp_z"])
    known = annotate(few, model=small_model(), outputs=["logmstar"], context={"z": "true_z"})
    assert not np.allclose(known["jp_logmstar"], result["jp_logmstar"])


@pytest.mark.parametrize("ending", ["fits", "parquet"])
def test_through_a_file(table, tmp_path, ending):
    path = tmp_path / f"mock.{ending}"
    write_catalog(table[:20], path)
    back = read_catalog(path)
    same_tables(back, table[:20])
    assert back["true_ew_halpha"].unit == u.AA


def test_progress_ends_at_n():
    seen = []
    simulate(30, seed=1, ssp="toy.npz", progress=lambda done, n: seen.append((done, n)))
    assert seen[-1] == (30, 30)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"n": 0}, InputError, "n: expected"),
        ({"n": 2.5}, InputError, "n: expected"),
        ({"n": True}, InputError, "n: expected"),
        ({"seed": 1.5}, InputError, "seed"),
        ({"seed": "one"}, InputError, "seed"),
        ({"galex": "deep"}, UnknownNameError, "ais, dis, mis"),
        ({"noise": "minijpas-v9"}, UnknownNameError, "minijpas-v1"),
        ({"noise": "galex-ais", "galex": None}, InputError, "lacks the bands uJAVA"),
        ({"ssp": []}, InputError, "at least one"),
        ({"r_select": 24.5}, InputError, "r_select"),
        ({"r_select": 12.0}, InputError, "r_select"),
        ({"r_select": float("nan")}, InputError, "r_select"),
    ],
)
def test_arguments_that_make_no_sense(options, error, said):
    with pytest.raises(error, match=said):
        simulate(**{"n": 5, "ssp": "toy.npz", **options})


def test_a_grid_that_is_not_there(tmp_path, monkeypatch):
    from jpassed.simulator.ssp import read_ssp

    monkeypatch.setattr(jpassed.simulator, "read_ssp", read_ssp)
    with pytest.raises(FileError, match="nowhere.npz"):
        simulate(5, ssp=tmp_path / "nowhere.npz")


@pytest.mark.real_data
def test_real_grids(real_data, monkeypatch):
    from jpassed.simulator.ssp import read_ssp

    monkeypatch.setattr(jpassed.simulator, "read_ssp", read_ssp)
    monkeypatch.setattr(jpassed.simulator, "GalaxySimulator", REAL_SIMULATOR)
    table = simulate(
        200,
        seed=5,
        ssp=real_data / "ssp" / "ssp_bc03_lr_chabrier.npz",
        lines=real_data / "ssp" / "fsps_nebular" / "ZAU_ND_mist.lines",
    )
    assert table.meta["ssp"] == "ssp_bc03_lr_chabrier.npz"
    assert (numbers(table["rSDSS"]) > 3631e6 * 10 ** (-0.4 * 22.7)).all()
    assert 0.2 < np.median(numbers(table["true_z"])) < 0.8
    assert 8.5 < np.median(numbers(table["true_logmstar"])) < 11.5
    colour = -2.5 * np.log10(numbers(table["gSDSS"]) / numbers(table["iSDSS"]))
    assert 0.2 < np.nanmedian(colour) < 2.5
    result = annotate(table[:10], model=small_model(), outputs=["z"])
    assert list(result["jp_nbands"]) == [62] * 10
