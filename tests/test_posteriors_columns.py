"""Columns of posteriors: names, values, units, UCDs, masks, tabulated densities."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.io.votable.ucd import check_ucd
from astropy.table import MaskedColumn, QTable, Table

from jpassed.exceptions import InputError, UnknownNameError
from jpassed.posteriors import Gaussian, GaussianMixture, Posterior, Transform
from jpassed.posteriors.columns import band_ucd, column_name, grid_meta, posterior_columns
from jpassed.posteriors.grids import PdfGrid
from jpassed.vocabulary import load_vocabulary

N = 5
WORDS = load_vocabulary()


def gaussian(mean: float, sigma: float, transform: Transform | None = None, **bounds) -> Gaussian:
    return Gaussian(np.full(N, mean), np.full(N, sigma), transform, **bounds)


@pytest.fixture
def posterior() -> Posterior:
    flux_scale = np.linspace(1.0, 100.0, N)
    return Posterior(
        {
            "z": gaussian(-0.2, 0.05, Transform.of(WORDS["z"]), lower=0.0, upper=1.2),
            "logmstar": gaussian(0.5, 0.2, Transform.of(WORDS["logmstar"])),
            "t0": gaussian(0.0, 0.3, Transform.of(WORDS["t0"]), lower=0.0, upper=14.0),
            "ew_halpha": gaussian(0.1, 0.2, Transform.of(WORDS["ew_halpha"])),
            "flux:J0660": gaussian(0.0, 0.1, Transform("asinh", 4.6, 1.5, 0.02 * flux_scale)),
            "flux:galex_fuv": gaussian(-1.0, 0.2, Transform("asinh", 4.6, 1.5, 0.02 * flux_scale)),
        }
    )


def test_names_and_values(posterior):
    columns = {c.name: c for c in posterior_columns(posterior)}
    assert list(columns)[:4] == ["jp_z", "jp_z_err", "jp_z_lo", "jp_z_hi"]
    assert "jp_flux_J0660_err" in columns and "jp_flux_galex_fuv_hi" in columns
    assert len(columns) == 4 * len(posterior.names)
    for name in posterior.names:
        low, middle, high = posterior.quantile(name, [0.16, 0.5, 0.84]).T
        stem = column_name(name)
        np.testing.assert_allclose(columns[stem], middle, rtol=1e-6)
        np.testing.assert_allclose(columns[f"{stem}_lo"], low, rtol=1e-6)
        np.testing.assert_allclose(columns[f"{stem}_hi"], high, rtol=1e-6)
        np.testing.assert_allclose(columns[f"{stem}_err"], (high - low) / 2, rtol=1e-5)
        assert all(columns[stem + s].dtype == np.float32 for s in ("", "_err", "_lo", "_hi"))


def test_units_descriptions_formats(posterior):
    columns = {c.name: c for c in posterior_columns(posterior)}
    assert columns["jp_z"].unit is None and columns["jp_z"].format == ".5f"
    assert columns["jp_t0_err"].unit == u.Gyr
    assert columns["jp_ew_halpha"].unit == u.AA
    assert columns["jp_flux_J0660"].unit == u.uJy
    # Logarithms carry no unit: the description says of what.
    assert columns["jp_logmstar"].unit is None
    assert "log10(stellar mass / solMass)" in columns["jp_logmstar"].description
    assert "log10(stellar mass / solMass)" in columns["jp_logmstar_lo"].description
    assert "in J0660" in columns["jp_flux_J0660"].description
    assert "median" in columns["jp_z"].description
    assert "16-84 %" in columns["jp_z_err"].description


def test_every_ucd_is_valid_ucd1plus():
    names = [n for n in WORDS.names if n != "flux"] + [
        f"flux:{b}" for b in ("galex_fuv", "galex_nuv", "uJAVA", "J0660", "wise_w1", "2mass_ks")
    ]
    every = Posterior({n: gaussian(0.0, 0.1) for n in names})
    columns = posterior_columns(every, pdf=True, samples=2)
    for column in columns:
        ucd = column.info.meta["ucd"]
        assert check_ucd(ucd, check_controlled_vocabulary=True), (column.name, ucd)
    ucds = {c.name: c.info.meta["ucd"] for c in columns}
    assert ucds["jp_z"] == "src.redshift.phot"
    assert ucds["jp_z_err"] == "stat.error;src.redshift.phot"
    assert ucds["jp_logmstar_lo"] == "phys.mass;stat.min"
    assert ucds["jp_logmstar_hi"] == "phys.mass;stat.max"
    assert ucds["jp_flux_galex_fuv"] == "phot.flux.density;em.UV.100-200nm"
    assert ucds["jp_flux_J0660_err"] == "stat.error;phot.flux.density;em.opt.R"
    assert ucds["jp_flux_2mass_ks"] == "phot.flux.density;em.IR.K"


def test_ucd_of_bands_beyond_the_known():
    assert band_ucd("phot.flux.density", None) == "phot.flux.density"
    assert band_ucd("phot.flux.density", 4e6) == "phot.flux.density"
    own = Posterior({"flux:mine": gaussian(0.0, 0.1)})
    columns = posterior_columns(own, pivots={"mine": 6200.0})
    assert columns[0].info.meta["ucd"] == "phot.flux.density;em.opt.R"
    assert posterior_columns(own)[0].meta["ucd"] == "phot.flux.density"


def test_masked_rows_and_values_that_are_not_finite(posterior):
    masked = np.array([True, False, False, False, False])
    columns = {c.name: c for c in posterior_columns(posterior, masked=masked, pdf=True, samples=3)}
    for column in columns.values():
        assert isinstance(column, MaskedColumn)
        rows = column.mask if column.ndim == 1 else column.mask.all(axis=1)
        np.testing.assert_array_equal(rows, masked, err_msg=column.name)
        assert np.all(np.isfinite(column.filled(0.0)))
    one = {c.name: c for c in posterior_columns(posterior, masked={"z": masked})}
    assert isinstance(one["jp_z"], MaskedColumn) and not isinstance(one["jp_t0"], MaskedColumn)
    broken = Posterior({"t0": Gaussian(np.array([1.0, np.nan]), np.ones(2))})
    np.testing.assert_array_equal(posterior_columns(broken)[0].mask, [False, True])
    with pytest.raises(InputError, match="mask"):
        posterior_columns(posterior, masked=[True])


def test_names_prefix_and_unknown_quantities(posterior):
    columns = posterior_columns(posterior, names=["t0"], prefix="my_")
    assert [c.name for c in columns] == ["my_t0", "my_t0_err", "my_t0_lo", "my_t0_hi"]
    with pytest.raises(UnknownNameError, match="av"):
        posterior_columns(posterior, names=["av"])
    with pytest.raises(InputError, match="negative"):
        posterior_columns(posterior, samples=-1)


def test_samples_are_seeded_and_shaped(posterior):
    first, second = (
        {c.name: c for c in posterior_columns(posterior, samples=7, rng=3)} for _ in range(2)
    )
    assert first["jp_z_samples"].shape == (N, 7)
    np.testing.assert_array_equal(first["jp_z_samples"], second["jp_z_samples"])
    assert first["jp_flux_J0660_samples"].unit == u.uJy


def test_tabulated_density_and_its_grid(posterior):
    columns = {c.name: c for c in posterior_columns(posterior, pdf=True)}
    assert "jp_flux_J0660_pdf" not in columns
    for name in ("z", "logmstar", "t0", "ew_halpha"):
        column = columns[f"jp_{name}_pdf"]
        grid = PdfGrid.parse(column.description)
        assert grid == PdfGrid.of(WORDS[name])
        assert column.shape == (N, grid.number)
        share = np.sum(column * np.diff(grid.edges), axis=1)
        np.testing.assert_allclose(share, 1.0, atol=1e-4)
        middle = np.sum(column * np.diff(grid.edges) * grid.centres, axis=1)
        np.testing.assert_allclose(middle, posterior.mean(name), rtol=0.01)
    assert columns["jp_t0_pdf"].unit == 1 / u.Gyr
    grid = PdfGrid.of(WORDS["z"])
    assert (grid.number, grid.step, grid.edges[-1]) == (600, 0.002, pytest.approx(1.2))
    meta = grid_meta(["z", "ew_halpha", "flux:J0660"])
    assert list(meta) == ["jp_z_pdf_edges", "jp_ew_halpha_pdf_edges"]
    np.testing.assert_allclose(meta["jp_z_pdf_edges"], grid.edges, atol=1e-9)


def test_every_grid_can_be_read_back_from_its_text():
    for kind in WORDS:
        if kind.scale == "object":
            with pytest.raises(InputError, match="samples"):
                PdfGrid.of(kind)
            continue
        grid = PdfGrid.of(kind)
        assert PdfGrid.parse(f"text; {grid.describe()} more") == grid
        assert np.all(np.diff(grid.edges) > 0)
        assert grid.edges[0] >= kind.lower - 0.01 * abs(kind.lower) - 1e-3
        assert np.all((grid.centres > grid.edges[:-1]) & (grid.centres < grid.edges[1:]))
    with pytest.raises(InputError, match="no bins"):
        PdfGrid.parse("nothing here")


@pytest.mark.parametrize("suffix", ["fits", "vot", "ecsv"])
def test_columns_survive_a_file(posterior, tmp_path, suffix):
    masked = np.array([True, False, False, False, False])
    table = QTable(posterior_columns(posterior, masked=masked, pdf=True, samples=3))
    path = tmp_path / f"t.{suffix}"
    table.write(path, **({"format": "votable"} if suffix == "vot" else {}))
    again = Table.read(path)
    assert again.colnames == table.colnames
    for name in ("jp_z", "jp_t0_err", "jp_z_pdf", "jp_ew_halpha_samples"):
        assert again[name].unit == table[name].unit
        mask = np.ma.getmaskarray(np.ma.asarray(again[name]))
        assert mask[0].all() and not mask[1:].any()
        np.testing.assert_array_equal(
            np.asarray(again[name])[1:], np.asarray(getattr(table[name], "value", table[name]))[1:]
        )
    # The description, and with it the grid, is what every format keeps.
    assert PdfGrid.parse(again["jp_z_pdf"].description) == PdfGrid.of(WORDS["z"])


def test_mixture_of_wide_range_stays_finite_in_float32():
    wide = GaussianMixture([[1.0]] * N, [[0.0]] * N, [[40.0]] * N, Transform.of(WORDS["ew_oii"]))
    columns = posterior_columns(Posterior({"ew_oii": wide}))
    assert all(np.all(np.isfinite(np.ma.filled(c, 0.0))) for c in columns)
