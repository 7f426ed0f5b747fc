"""Objects become rows: fibre scaling, total fluxes, the survey's noise, and what is left out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archive_plans import SDSS
from astropy.io import fits

from jpassed.archives import load_plan
from jpassed.archives.assembly import Assembler
from jpassed.archives.description_file import parse_archive
from jpassed.archives.label_rules import LabelValues
from jpassed.archives.objects import Bands, Objects
from jpassed.jspectrum import extinction_coefficient, jspectra, load_noise

WAVE = 10 ** (3.55 + 1e-4 * np.arange(4700))  # 3548 to 10470 Å
TOTAL = 40.0  # microjansky in r


def write_spectrum(path: Path, level: float = 1.0, sigma: float = 0.01, seed: int = 0) -> Path:
    """An SDSS spec file of a smooth spectrum with noise of `sigma` times its level."""
    flux = level * (1 + 0.3 * np.sin(np.log(WAVE) * 9))
    flux = flux + level * sigma * np.random.default_rng(seed).standard_normal(WAVE.size)
    coadd = fits.BinTableHDU.from_columns(
        [
            fits.Column("flux", "E", array=flux),
            fits.Column("loglam", "E", array=np.log10(WAVE)),
            fits.Column("ivar", "E", array=np.full(WAVE.size, (level * sigma) ** -2)),
        ],
        name="COADD",
    )
    fits.HDUList([fits.PrimaryHDU(), coadd]).writeto(path)
    return path


def objects_of(count: int, **given: Any) -> Objects:
    """Objects with a redshift, a mass and an EW; everything else as given."""
    nothing = np.full(count, np.nan)
    labels = {}
    for quantity, value in (("z", 0.1), ("logmstar", 10.0), ("ew_halpha", 20.0)):
        labels[quantity] = LabelValues(
            np.full(count, value), np.full(count, 0.1), np.ones(count, dtype=bool),
            np.zeros(count, dtype=np.int64),
        )  # fmt: skip
    settings: dict[str, Any] = {
        "archive": parse_archive(SDSS, "test"), "key": [str(n) for n in range(count)],
        "ra": np.full(count, 150.0), "dec": np.full(count, 2.0), "kind": ["GALAXY"] * count,
        "has_spectrum": np.ones(count, dtype=bool), "redshift": np.full(count, 0.1),
        "labels": labels, "sources": ["test.objects"], "ebv": np.zeros(count),
        "total": np.full(count, TOTAL), "total_band": "sdss_r", "bands": [], "columns": {},
        **given,
    }  # fmt: skip
    settings["ebv"] = nothing if settings["ebv"] is None else settings["ebv"]
    return Objects(**settings)


def rows_of(
    objects: Objects, paths: dict[str, Path], match: Any = (), **settings: Any
) -> tuple[Any, Counter[str]]:
    plan = load_plan({"archives": ["sdss-dr17"], "noise": None, "filters": ["jpas"], **settings})
    return Assembler(plan, match).rows(objects, np.arange(len(objects)), paths)


def test_half_the_light_in_the_fibre_gives_the_same_total_flux(tmp_path):
    paths = {
        "0": write_spectrum(tmp_path / "a.fits", 2.0),
        "1": write_spectrum(tmp_path / "b.fits", 1.0),
    }
    table, left_out = rows_of(objects_of(2), paths)
    scale = table["aperture_scale"]
    np.testing.assert_allclose(scale[1] / scale[0], 2.0, rtol=1e-6)
    for band in ("J0410", "rSDSS", "J0800"):
        np.testing.assert_allclose(table[band][1], table[band][0], rtol=1e-6)
        np.testing.assert_allclose(table[f"{band}_err"][1], table[f"{band}_err"][0], rtol=1e-6)
    direct = jspectra(list(paths.values()), total_mag={"sdss_r": -2.5 * np.log10(TOTAL / 3631e6)})
    np.testing.assert_allclose(table["J0660"], direct["J0660"].value, rtol=1e-5)
    assert table["J0660"].unit == "uJy"
    assert not left_out


def test_the_milky_way_comes_off_after_the_scaling(tmp_path):
    path = write_spectrum(tmp_path / "a.fits", sigma=1e-4)
    both = {"0": path, "1": path}
    table, _ = rows_of(objects_of(2, ebv=np.array([0.0, 0.1])), both, filters=["jpas", "sdss"])
    np.testing.assert_allclose(table["aperture_scale"][1], table["aperture_scale"][0])
    for band, wave in (("J0410", 4100.0), ("J0660", 6600.0), ("J0860", 8600.0)):
        wanted = 10 ** (0.4 * 0.1 * extinction_coefficient(wave))
        np.testing.assert_allclose(table[band][1] / table[band][0], wanted, rtol=3e-3)


def test_a_spectrum_in_the_light_of_its_fibre_gets_no_total_fluxes(tmp_path):
    paths = {k: write_spectrum(tmp_path / f"{k}.fits") for k in ("0", "1")}
    total = np.array([TOTAL, np.nan])
    bands = Bands(
        ("sdss_g",), np.full((3, 1), 30.0), np.full((3, 1), 1.0), np.ones((3, 1), dtype=bool)
    )
    objects = objects_of(3, total=np.append(total, np.nan), bands=[bands])
    table, left_out = rows_of(objects, paths)
    np.testing.assert_array_equal(table["aperture_scale"].mask, [False, True, True])
    np.testing.assert_array_equal(table["J0660"].mask, [False, False, True])
    # The third has no spectrum that its total fluxes and mass could contradict.
    np.testing.assert_array_equal(table["sdss_g"].mask, [False, True, False])
    np.testing.assert_array_equal(table["label_logmstar"].mask, [False, True, False])
    np.testing.assert_array_equal(table["label_ew_halpha"].mask, [False, False, False])
    assert left_out == {
        "scaling to total flux: no total flux": 1,
        "total bandflux: the spectrum is not scaled to total flux": 1,
        "logmstar: the spectrum is not scaled to total flux": 1,
    }
    assert list(table["label_logmstar_from"]) == ["test.objects", "", "test.objects"]


def test_a_spectrum_of_noise_is_not_scaled(tmp_path):
    paths = {
        "0": write_spectrum(tmp_path / "a.fits", 1.0, sigma=0.1),
        "1": write_spectrum(tmp_path / "b.fits", 1.0, sigma=12.0, seed=1),
    }
    table, left_out = rows_of(objects_of(2), paths)
    np.testing.assert_array_equal(table["aperture_scale"].mask, [False, True])
    assert left_out["scaling to total flux: sdss_r of the spectrum is noise"] == 1
    assert table["label_logmstar"].mask[1]


def test_noise_is_the_surveys_on_top_of_the_spectrums(tmp_path):
    count = 400
    paths = {
        str(n): write_spectrum(tmp_path / f"{n}.fits", 3.0, sigma=1.0, seed=n) for n in range(count)
    }
    # Faint, so that the scatter of the zero points, which no error holds, hardly counts; the noise
    # of the spectrum and that of the survey are alike.
    objects = objects_of(count, total=np.full(count, 3.0))
    clean, _ = rows_of(objects, paths)
    noisy, _ = rows_of(objects, paths, noise="minijpas-v1", seed=3)
    model = load_noise("minijpas-v1")
    for band in ("J0400", "J0660", "rSDSS"):
        own, error = (np.asarray(t[f"{band}_err"]) for t in (clean, noisy))
        assert np.all(error > own)
        survey = np.sqrt(error**2 - own**2)
        b = model.bands.index(band)
        depth = 3631e6 * 10 ** (-0.4 * np.median(model.depth5[:, b])) / 5
        assert 0.8 < np.median(survey) / depth < 8  # the depth, in a larger aperture
        truth = np.median(np.asarray(clean[band]))
        pull = (np.asarray(noisy[band]) - truth) / error
        assert abs(np.mean(pull)) < 0.2
        assert 0.88 < np.std(pull) < 1.12
        extra = (np.asarray(noisy[band]) - np.asarray(clean[band])) / survey
        assert 0.88 < np.std(extra) < 1.12


def test_an_objects_noise_is_its_own(tmp_path):
    path = write_spectrum(tmp_path / "a.fits")
    objects = objects_of(3)
    paths = {"0": path, "1": path, "2": path}
    plan = load_plan({"archives": ["sdss-dr17"], "seed": 5})
    every, _ = Assembler(plan).rows(objects, np.arange(3), paths)
    last, _ = Assembler(plan).rows(objects, np.array([2]), paths)
    assert len(set(every["J0660"])) == 3
    np.testing.assert_allclose(last["J0660"][0], every["J0660"][2], rtol=1e-12)
    other, _ = Assembler(load_plan({"archives": ["sdss-dr17"], "seed": 6})).rows(
        objects, np.arange(3), paths
    )
    assert other["J0660"][0] != every["J0660"][0]


def test_not_observed_and_not_detected_stay_apart(tmp_path):
    paths = {"0": write_spectrum(tmp_path / "a.fits"), "1": write_spectrum(tmp_path / "b.fits")}

    def step(table: Any) -> dict[str, Any]:
        assert table.colnames == ["ra", "dec", "ebv"]
        flux, error = np.array([0.0, 9.0, 5.0]), np.array([2.0, 1.0, 1.0])
        return {"galex_nuv": (flux, error, np.array([True, False, True]))}

    table, _ = rows_of(objects_of(3), paths, match=[step])
    np.testing.assert_array_equal(table["galex_nuv"].mask, [False, True, False])
    np.testing.assert_array_equal(table["galex_nuv"][[0, 2]], [0.0, 5.0])
    np.testing.assert_array_equal(table["galex_nuv_err"][[0, 2]], [2.0, 1.0])


@pytest.mark.parametrize(("required", "spectra"), [(True, 1), (False, 2)])
def test_spectra_without_excess_are_left_out_unless_asked_for(tmp_path, required, spectra):
    paths = {"0": write_spectrum(tmp_path / "a.fits"), "1": write_spectrum(tmp_path / "b.fits")}
    objects = objects_of(2, ebv=np.array([0.02, np.nan]))
    table, left_out = rows_of(objects, paths, require_ebv=required)
    assert len(table) == 2  # the labels stay
    assert int((~table["J0660"].mask).sum()) == spectra
    assert sum(left_out.values()) == 1
    assert all("no E(B-V)" in reason for reason in left_out)


def test_damaged_and_foreign_files_are_counted(tmp_path):
    (tmp_path / "short.fits").write_bytes(b"SIMPLE  =" + b" " * 100)
    good = write_spectrum(tmp_path / "a.fits")
    table, left_out = rows_of(objects_of(2), {"0": tmp_path / "short.fits", "1": good})
    assert len(table) == 2
    assert left_out["spectrum: file damaged"] == 1


def test_nothing_known_is_no_row(tmp_path):
    objects = objects_of(2)
    for entry in objects.labels.values():
        entry.observed[0] = False
    table, left_out = rows_of(objects, {})
    assert list(table["key"]) == ["1"]
    assert left_out == {"object: nothing usable": 1}
