"""Stars and quasars: the score, its file, its flag and its column."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from annotation_tables import make_table, small_model, write_small
from astropy import units as u
from astropy.table import MaskedColumn, QTable
from click.testing import CliRunner
from test_embed import JPAS, galaxies

import jpassed
from jpassed.annotation import Flag
from jpassed.annotation.intruders import (
    LEAST_BANDS,
    IntruderScore,
    load_intruder_score,
    write_intruder_score,
)
from jpassed.cli import main
from jpassed.exceptions import ModelError
from jpassed.filters import known_bands
from jpassed.io.catalogs import read_catalog, write_catalog
from jpassed.nn.checkpoint import LoadedModel
from jpassed.weights import load_model

PIVOT = np.array([known_bands()[band][0] for band in JPAS])


def photometry(flux: np.ndarray, relative: float = 0.02, seed: int = 1) -> QTable:
    """A table of (N, 60) fluxes with noise."""
    error = relative * np.abs(flux) + 0.05
    noisy = flux + error * np.random.default_rng(seed).standard_normal(flux.shape)
    table = QTable({"id": np.arange(len(flux))})
    for i, band in enumerate(JPAS):
        table[band] = noisy[:, i] * u.uJy
        table[f"{band}_err"] = error[:, i] * u.uJy
    return table


def black_bodies() -> QTable:
    """Hot stars, 20 uJy at 6,000 Å."""
    hot = np.linspace(9000.0, 30000.0, 12)[:, None]

    def planck(wave: np.ndarray) -> np.ndarray:
        return wave**-3 / np.expm1(1.43877e8 / (wave * hot))

    return photometry(20.0 * planck(PIVOT) / planck(np.array([6000.0])))


def quasars() -> QTable:
    """Power laws with three broad lines, z 1.8-2.9."""
    z = np.linspace(1.8, 2.9, 12)[:, None]
    rest = PIVOT / (1.0 + z)
    flux = (rest / 2000.0) ** 0.4
    for wave, width in ((1216.0, 1.5), (1549.0, 0.8), (1909.0, 0.5)):
        flux = flux * (1.0 + width * np.exp(-0.5 * ((rest - wave) / (0.012 * wave)) ** 2))
    flux = np.where(rest < 1216.0, 0.75 * flux, flux)
    return photometry(20.0 * flux)


def test_the_score_is_the_sum_of_two_odds() -> None:
    score = IntruderScore(
        np.array([[1.0, 0.0], [0.0, 2.0]], np.float32), np.array([0.0, -1.0], np.float32), 0.8, {}
    )
    x = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 400.0], [-9.0, -9.0]], np.float32)
    odds = np.array([1.0 + np.exp(-1.0), np.exp(3.0) + np.exp(-1.0), np.inf, 0.0])
    expected = np.where(np.isinf(odds), 1.0, odds / (1.0 + np.where(np.isinf(odds), 0.0, odds)))
    value = score(x, np.full(4, 60))
    np.testing.assert_allclose(value, expected, atol=2e-4)
    assert score.flagged(value).tolist() == [False, True, True, False]


def test_few_bands_have_no_score_and_raise_no_flag() -> None:
    score = IntruderScore(np.ones((2, 2), np.float32), np.ones(2, np.float32), 0.5, {})
    value = score(np.ones((2, 2), np.float32), np.array([LEAST_BANDS - 1, LEAST_BANDS]))
    assert np.isnan(value[0]) and value[1] > 0.9
    assert score.flagged(value).tolist() == [False, True]


@pytest.mark.parametrize("make", [black_bodies, quasars])
def test_stars_and_quasars_are_flagged(make: object) -> None:
    result = jpassed.annotate(make(), outputs="z")  # type: ignore[operator]
    flagged = (np.asarray(result["jp_flag"]) & Flag.NOT_A_GALAXY) > 0
    assert flagged.mean() >= 0.9
    threshold = load_intruder_score(load_model("default")).threshold  # type: ignore[union-attr]
    np.testing.assert_array_equal(flagged, np.asarray(result["jp_intruder"]) > threshold)


@pytest.mark.real_data
def test_real_galaxies_are_not_and_real_stars_are(real_data: Path) -> None:
    from jpassed.filters import load_filters
    from jpassed.jspectrum import SyntheticPhotometry

    bands = SyntheticPhotometry(load_filters("jpas"))

    def fluxes(paths: list[Path], stretch: float) -> QTable:
        parts = []
        for path in paths:
            wave, value = np.loadtxt(path, unpack=True, usecols=(0, 1))
            rising = np.concatenate([[True], np.diff(wave) > 0])
            flux = bands.bandflux(stretch * wave[rising], value[rising]).flux[0]
            parts.append(60.0 * flux / flux[JPAS.index("rSDSS")])
        return photometry(np.array(parts))

    templates = real_data / "templates"
    seen = fluxes(sorted((templates / "brown2014").glob("*.dat"))[::3], 1.15)
    stars = fluxes(sorted((templates / "pickles").glob("*.sed"))[::4], 1.0)
    share = [
        float(np.mean((np.asarray(jpassed.annotate(t, outputs="z")["jp_flag"]) & 64) > 0))
        for t in (seen, stars)
    ]
    assert share[0] <= 0.05 and share[1] >= 0.95


def test_neither_labels_nor_outputs_nor_the_order_change_the_score() -> None:
    table = galaxies(10)
    table["z_spec"] = np.linspace(0.1, 0.5, 10)
    plain = np.asarray(jpassed.annotate(table, outputs="z")["jp_intruder"])
    # Another order of columns adds up a flux scale in another order: bfloat16 rounds otherwise.
    for other in (
        jpassed.annotate(table, outputs="av,flux:J0660", context={"z": "z_spec"}, batch_size=3),
        jpassed.annotate(table[table.colnames[::-1]], outputs="z"),
        jpassed.annotate(table[::-1], outputs="z")[::-1],
    ):
        np.testing.assert_allclose(np.asarray(other["jp_intruder"]), plain, atol=2e-3)


def test_missing_bands_are_counted_and_the_column_is_masked_below() -> None:
    table = galaxies(3)
    for i, band in enumerate(JPAS):
        for name in (band, f"{band}_err"):
            mask = [False, i >= LEAST_BANDS - 1, i >= LEAST_BANDS]
            table[name] = MaskedColumn(table[name].value, mask=mask, unit="uJy")
    result = jpassed.annotate(table, outputs="z")
    assert result["jp_intruder"].mask.tolist() == [False, True, False]
    assert result["jp_flag"][1] & Flag.NOT_A_GALAXY == 0


def test_another_survey_is_masked() -> None:
    table = QTable({f"sdss_{b}": [20.0] * u.uJy for b in "ugriz"})
    for band in "ugriz":
        table[f"sdss_{band}_err"] = [0.4] * u.uJy
    assert jpassed.annotate(table, outputs="z")["jp_intruder"].mask.all()


def test_a_model_without_a_score_says_so_once_and_flags_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loaded = jpassed.load_model(write_small(tmp_path / "other"))
    own = LoadedModel(loaded.network, loaded.card, "feedfeedfeedfeed")
    with caplog.at_level(logging.WARNING, "jpassed.annotation.intruders"):
        first = jpassed.annotate(make_table(), model=own, outputs="z")
        jpassed.annotate(make_table(), model=own, outputs="z")
    assert "jp_intruder" not in first.colnames
    assert (np.asarray(first["jp_flag"]) & Flag.NOT_A_GALAXY == 0).all()
    told = [r for r in caplog.records if "has no score of intruders" in r.getMessage()]
    assert len(told) == 1 and "feedfeedfeedfeed" in told[0].getMessage()


def test_the_score_belongs_to_the_embedded_model() -> None:
    fitted = load_intruder_score(load_model("default"))
    assert fitted is not None, "run tools/fit_intruders.py"
    assert 0.5 <= fitted.threshold < 1.0
    assert max(fitted.card["false alarms"].values()) <= 0.05


def test_a_score_survives_its_file_and_a_damaged_one_is_told(tmp_path: Path) -> None:
    model = small_model()
    fitted = IntruderScore(
        np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4), np.array([0.5, -2], np.float32),
        0.77, {"network": model.digest},
    )  # fmt: skip
    read = load_intruder_score(model, write_intruder_score(fitted, tmp_path / "s.safetensors"))
    assert read is not None and read.threshold == 0.77
    np.testing.assert_allclose(read.weight, fitted.weight, atol=1e-3)
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"nothing of the kind")
    with pytest.raises(ModelError, match="damaged"):
        load_intruder_score(model, bad)
    assert load_intruder_score(model, tmp_path / "none.safetensors") is None


@pytest.mark.parametrize("ending", ["fits", "vot", "ecsv"])
def test_column_and_flag_through_files(tmp_path: Path, ending: str) -> None:
    source, out = tmp_path / "in.fits", tmp_path / f"out.{ending}"
    write_catalog(quasars(), source)
    run = CliRunner().invoke(main, ["annotate", str(source), "-o", str(out), "--outputs", "z"])
    assert run.exit_code == 0, run.output
    table = read_catalog(out)
    assert (np.asarray(table["jp_intruder"]) > 0.5).mean() > 0.9
    assert ((np.asarray(table["jp_flag"]) & 64) > 0).mean() > 0.8
    assert "Probability of a star or QSO" in table["jp_intruder"].info.description
