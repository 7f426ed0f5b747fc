"""Annotated tables: the input's columns as they were, and what the new ones say."""

from __future__ import annotations

import copy
import warnings
import weakref

import numpy as np
import pytest
from annotation_tables import BANDS, CONFIG, make_table, masked, numbers, small_model, write_small
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.time import Time
from astropy.utils.masked import Masked

import jpassed
from jpassed.annotation import DEFAULT_OUTPUTS, FLAGS, annotate, infer
from jpassed.io import read_catalog
from jpassed.posteriors.columns import column_name, posterior_values
from jpassed.posteriors.grids import PdfGrid
from jpassed.vocabulary import load_vocabulary


@pytest.fixture
def rich() -> QTable:
    """Columns of every sort besides the bandfluxes."""
    table = make_table(6)
    table["name"] = ["a", "b", "c", "d", "e", "f"]
    table["flagged"] = [True, False, True, False, True, False]
    table["when"] = Time(60000.0 + np.arange(6), format="mjd")
    table["where"] = SkyCoord(np.arange(6) * u.deg, np.arange(6) * u.deg)
    table["counts"] = MaskedColumn(np.arange(6, dtype=np.int16), mask=[0, 1, 0, 0, 0, 0])
    table["dist"] = Masked(np.arange(6.0) * u.Mpc, mask=[0, 0, 1, 0, 0, 0])
    table["total"] = u.Magnitude(np.arange(6.0) + 18.0, u.ABmag)
    table["array"] = np.arange(12, dtype=np.float32).reshape(6, 2)
    table["big"] = np.arange(6, dtype=">f4")
    table["name"].info.description = "Name of the galaxy"
    table["J0400"].info.meta = {"ucd": "phot.flux.density", "list": [1, 2]}
    table["J0400"].info.format = ".2f"
    table.meta["survey"] = {"fields": ["A", "B"]}
    return table


def assert_untouched(before: Table, after: Table) -> None:
    """All columns of `before` lead `after`, with values, masks, dtypes and words."""
    assert after.colnames[: len(before.colnames)] == before.colnames
    for name in before.colnames:
        old, new = before[name], after[name]
        assert old.info.unit == new.info.unit, name
        assert old.info.description == new.info.description, name
        assert (old.info.meta or {}) == (new.info.meta or {}), name
        assert old.info.format == new.info.format, name
        if hasattr(old, "dtype"):
            assert old.dtype == new.dtype, name
        mask = np.asarray(getattr(old, "mask", np.zeros(len(old), bool)))
        if isinstance(old, Time | SkyCoord):
            assert (old == new).all(), name
            continue
        np.testing.assert_array_equal(mask, getattr(new, "mask", mask), err_msg=name)
        plain = [np.asarray(getattr(c, "unmasked", c)) for c in (old, new)]
        if isinstance(old, MaskedColumn):
            plain = [np.asarray(c.data.data) for c in (old, new)]
        np.testing.assert_array_equal(*plain, err_msg=name)


def test_input_columns_come_back_as_they_were(rich):
    before = rich.copy()
    meta = copy.deepcopy(rich.meta)
    result = annotate(rich, model=small_model())
    assert_untouched(before, result)
    assert_untouched(before, rich)
    assert rich.colnames == before.colnames
    assert rich.meta == meta
    assert result.meta["survey"] == {"fields": ["A", "B"]}


def test_the_result_shares_no_memory_with_the_input(rich):
    result = annotate(rich, model=small_model(), outputs=["z"])
    result["J0400"][0] = 1e9 * u.uJy
    result["counts"][0] = 99
    result["J0400"].info.meta["list"].append(3)
    result.meta["survey"]["fields"].append("C")
    assert rich["J0400"][0] < 1e6 * u.uJy
    assert rich["counts"][0] == 0
    assert rich["J0400"].info.meta["list"] == [1, 2]
    assert rich.meta["survey"]["fields"] == ["A", "B"]


def test_a_plain_table_keeps_its_types():
    table = Table(make_table(4))
    table["exposures"] = Column(np.arange(4, dtype=np.int16), unit="s")
    table["hits"] = MaskedColumn(np.arange(4), mask=[0, 0, 1, 0], unit="ct")
    table["filter"] = Column(["a", "b", "c", "d"], unit="m")
    table["odd"] = Column(np.ones(4), unit=u.Unit("furlongs", parse_strict="silent"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = annotate(table, model=small_model(), outputs=["z"])
    assert isinstance(result, QTable)
    for name, kind in (("exposures", np.int16), ("hits", np.int64), ("odd", np.float64)):
        assert result[name].dtype == kind
        assert result[name].unit == table[name].unit
    assert list(result["exposures"].value) == [0, 1, 2, 3]
    assert list(result["hits"].mask) == [False, False, True, False]
    assert list(result["filter"]) == ["a", "b", "c", "d"]


def test_default_outputs_and_their_order():
    table = make_table(5)
    result = annotate(table, model=small_model())
    expected = [
        column_name(q, suffix) for q in DEFAULT_OUTPUTS for suffix in ("", "err", "lo", "hi")
    ]
    assert result.colnames == [*table.colnames, *expected, "jp_chi2", "jp_flag", "jp_nbands"]
    assert set(DEFAULT_OUTPUTS) == {
        "z", "logmstar", "logsfr", "logzstar", "t0", "tau", "av", "ur_rest", "ur_int",
        "logage_m", "logage_l", "ew_oii", "ew_hbeta", "ew_oiii", "ew_halpha", "ew_nii", "ew_sii",
        "flux:galex_fuv", "flux:galex_nuv",
    }  # fmt: skip


def test_units_words_and_ucds():
    result = annotate(make_table(5), model=small_model(), outputs=["t0", "ew_oii", "flux:J0660"])
    vocabulary = load_vocabulary()
    for quantity in ("t0", "ew_oii", "flux:J0660"):
        for suffix in ("", "err", "lo", "hi"):
            column = result[column_name(quantity, suffix)]
            assert column.unit == u.Unit(vocabulary[quantity].unit)
            assert column.dtype == np.float32
            assert column.info.description
            assert column.info.format
            assert vocabulary[quantity].ucd.split(";")[0] in column.info.meta["ucd"]
    assert result["jp_flux_J0660"].unit == u.uJy
    assert result["jp_flux_J0660"].info.meta["ucd"] == "phot.flux.density;em.opt.R"
    assert "J0660" in result["jp_flux_J0660"].info.description


def test_columns_are_quantiles_of_the_posterior():
    table = make_table(40)
    outputs = ("z", "tau", "ew_halpha", "flux:wise_w1")
    result = annotate(table, model=small_model(), outputs=outputs, batch_size=16)
    posterior = infer(table, model=small_model(), outputs=outputs)
    assert posterior.names == outputs
    assert posterior.units["flux:wise_w1"] == "uJy"
    for name in outputs:
        low, middle, high = posterior.quantile(name, [0.16, 0.5, 0.84]).T
        for suffix, values in (("", middle), ("err", (high - low) / 2), ("lo", low), ("hi", high)):
            written = numbers(result[column_name(name, suffix)])
            seen = np.isfinite(written)
            assert seen.sum() > 10
            np.testing.assert_allclose(written[seen], values[seen], rtol=1e-3, atol=1e-4)


def test_flags_are_spelled_out_in_the_description():
    result = annotate(make_table(2), model=small_model(), outputs=["z"])
    text = result["jp_flag"].info.description
    for bit, meaning in FLAGS.items():
        assert f"{int(bit)}: {meaning}" in text
    assert [int(bit) for bit in FLAGS] == [2**k for k in range(len(FLAGS))]
    assert result["jp_flag"].info.meta["ucd"] == "meta.code.qual"
    assert result["jp_flag"].dtype == np.int32
    assert result["jp_nbands"].dtype == np.int16
    assert list(result["jp_nbands"]) == [len(BANDS)] * 2


def test_meta_says_what_was_done():
    result = annotate(make_table(2), model=small_model(), context={"z": "z_spec"})
    meta = result.meta
    assert meta["jp_model"] == "small"
    assert meta["jp_model_version"] == "0.3"
    assert meta["jp_weights"] == small_model().digest
    assert meta["jp_version"] == jpassed.__version__
    assert meta["jp_context"] == "z=z_spec"
    assert "generic" in meta["jp_survey"]
    assert meta["jp_date"].startswith("20")


def test_densities_and_samples():
    result = annotate(
        make_table(30),
        model=small_model(),
        outputs=["z", "tau", "flux:J0660"],
        pdf=True,
        samples=64,
    )
    assert "jp_flux_J0660_pdf" not in result.colnames
    assert result["jp_z_samples"].shape == (30, 64)
    assert result["jp_flux_J0660_samples"].unit == u.uJy
    for name in ("z", "tau"):
        column = result[f"jp_{name}_pdf"]
        grid = PdfGrid.parse(column.info.description)
        np.testing.assert_allclose(result.meta[f"jp_{name}_pdf_edges"], grid.edges)
        total = (numbers(column) * np.diff(grid.edges)).sum(axis=1)
        assert (total < 1.001).all()
        assert np.median(total) > 0.9
    inside = numbers(result["jp_z_samples"]) < numbers(result["jp_z"])[:, None]
    assert inside.mean() == pytest.approx(0.5, abs=0.05)
    assert (numbers(result["jp_tau_samples"]) >= 0).all()


def test_rows_without_bands_are_masked_and_flagged():
    table = make_table(5)
    for band in BANDS:
        table = masked(table, band, [2])
    result = annotate(table, model=small_model(), pdf=True, samples=3, chi2="none")
    for name in result.colnames[len(table.colnames) : -2]:
        hidden = ~np.isfinite(numbers(result[name]).reshape(5, -1))
        assert hidden[2].all(), name
        if not name.startswith("jp_ew"):
            assert not hidden[[0, 1, 3, 4]].any(), name
    assert np.isnan(result["jp_tau"].unmasked[2])  # no number where the mask is forgotten
    assert "0.000" not in str(result["jp_tau"][2:3])
    assert list(result["jp_flag"] & 1) == [0, 0, 1, 0, 0]
    assert list(result["jp_nbands"]) == [10, 10, 0, 10, 10]


def test_nothing_is_masked_in_a_full_table():
    result = annotate(make_table(5), model=small_model(), outputs=["z", "t0"])
    assert type(result["jp_z"]) is Column
    assert type(result["jp_t0"]) is u.Quantity


def test_replaced_columns_leave_nothing_behind():
    table = make_table(4)
    first = annotate(table, model=small_model(), outputs=["z", "av"], pdf=True, samples=2)
    first["jp_note"] = ["a", "b", "c", "d"]
    second = annotate(first, model=small_model(), outputs=["z"], replace_columns=True)
    assert "jp_z_pdf" not in second.colnames
    assert "jp_z_samples" not in second.colnames
    assert "jp_z_pdf_edges" not in second.meta
    assert list(second["jp_note"]) == ["a", "b", "c", "d"]
    assert "jp_av_pdf_edges" in second.meta  # jp_av was not asked again
    assert second.colnames.count("jp_flag") == 1
    np.testing.assert_allclose(second["jp_z"], first["jp_z"], rtol=1e-5)
    assert "jp_z_pdf" in first.colnames


def test_predictions_never_feed_a_prediction():
    table = make_table(6, bands=BANDS[:6])
    # In half the digits the number of questions would show.
    options = {"model": small_model(), "precision": "float32"}
    first = annotate(table, outputs=["z", "flux:J0820", "flux:sdss_g"], **options)
    second = annotate(first, outputs=["z"], replace_columns=True, **options)
    np.testing.assert_array_equal(second["jp_nbands"], 6)
    np.testing.assert_allclose(second["jp_z"], first["jp_z"], rtol=1e-5)


def test_a_model_by_its_folder(tmp_path):
    table = make_table(3)
    folder = write_small(tmp_path / "model", CONFIG)
    result = annotate(table, model=folder, outputs=["z"])
    np.testing.assert_array_equal(
        result["jp_z"], annotate(table, model=small_model(), outputs=["z"])["jp_z"]
    )


def test_only_one_batch_of_posteriors_is_alive(monkeypatch):
    """Memory does not grow with the catalogue by more than the columns themselves."""
    alive, most = [], 0

    def watched(posterior, *args, **kwargs):
        nonlocal most
        alive.append(weakref.ref(posterior))
        most = max(most, sum(reference() is not None for reference in alive))
        return posterior_values(posterior, *args, **kwargs)

    monkeypatch.setattr("jpassed.annotation.table.posterior_values", watched)
    annotate(make_table(60), model=small_model(), outputs=["z", "tau"], batch_size=4)
    assert len(alive) == 15
    assert most <= 2


@pytest.mark.real_data
def test_real_galaxies(real_data):
    """SDSS, 2MASS and GALEX of real galaxies, non-detections and missing bands as they come."""
    table = read_catalog(real_data / "catalogs" / "sdss_galaxies_gst.fits")[:500]
    before = table.copy()
    result = annotate(table, model=small_model())
    assert_untouched(before, result)
    assert "kcorrect-gst" in result.meta["jp_survey"]
    assert set(np.unique(result["jp_nbands"])) <= set(range(5, 11))
    assert np.isfinite(numbers(result["jp_z"])).all()
    assert (numbers(result["jp_z_err"]) > 0).all()


def test_progress_is_told():
    seen = []
    annotate(
        make_table(10), model=small_model(), outputs=["z"], batch_size=4,
        progress=lambda done, n: seen.append((done, n)),
    )  # fmt: skip
    assert seen == [(4, 10), (8, 10), (10, 10)]
