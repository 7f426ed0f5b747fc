"""Spectra read from files: SDSS, BOSS, DESI, what is damaged and what is foreign."""

import csv
import gzip

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from jpassed.exceptions import FileError, InputError
from jpassed.io.spectra import SpectrumRecord, read_spectrum
from jpassed.io.survey_spectra import join_arms
from jpassed.units import air_to_vacuum


def write_sdss(path, *, pixels=400, start=35800, columns=("flux", "loglam", "ivar"), **row):
    """A spec file: flux 0, 1, 2, ..., ivar 4, pixel 10 without measurement, every pixel masked."""
    k = start + np.arange(pixels)
    ivar = np.full(pixels, 4.0, dtype=np.float32)
    ivar[10] = 0
    values = {
        "flux": np.arange(pixels, dtype=np.float32),
        "loglam": (1e-4 * k).astype(np.float32),
        "ivar": ivar,
        "and_mask": np.full(pixels, 2**23, dtype=np.int32),  # BRIGHTSKY
    }
    coadd = fits.BinTableHDU(Table({c: values[c] for c in (*columns, "and_mask")}), name="COADD")
    one = {
        "PLATE": 266,
        "MJD": 51602,
        "FIBERID": 7,
        "Z": 0.0633,
        "ZWARNING": 4,
        "CLASS": "GALAXY",
        "SUBCLASS": "AGN",
        "PLUG_RA": 146.28,
        "PLUG_DEC": -0.41,
    } | row
    table = Table({name: [value] for name, value in one.items()})
    table["SPECTROFLUX"] = np.array([[1.0, 2.0, 3.0, 4.0, 5.0]], dtype=np.float32)
    objects = fits.BinTableHDU(table, name="SPECOBJ")
    header = fits.Header({"VACUUM": True, "PLUG_RA": 1.0})
    fits.HDUList([fits.PrimaryHDU(header=header), coadd, objects]).writeto(path)
    return path


def write_desi(path, *, arms="BRZ", drop=(), fibres=3):
    """A coadd with DESI's own wavelengths; arm n has flux n + 1 and ivar n + 1 in every pixel."""
    limits = {"B": (3600.0, 2751), "R": (5760.0, 2326), "Z": (7520.0, 2881)}
    table = Table(
        {
            "TARGETID": np.arange(fibres) + 39633559463397282,
            "TARGET_RA": np.linspace(10.0, 12.0, fibres),
            "TARGET_DEC": np.linspace(-1.0, 1.0, fibres),
            "EBV": np.full(fibres, 0.04, dtype=np.float32),
        }
    )
    hdus = [fits.PrimaryHDU(), fits.BinTableHDU(table, name="FIBERMAP")]
    for n, arm in enumerate("BRZ"):
        if arm not in arms:
            continue
        start, count = limits[arm]
        value = np.full((fibres, count), n + 1.0, dtype=np.float32)
        for part, values in (
            ("WAVELENGTH", start + 0.8 * np.arange(count)),
            ("FLUX", value),
            ("IVAR", value),
        ):
            if f"{arm}_{part}" not in drop:
                hdus.append(fits.ImageHDU(values, name=f"{arm}_{part}"))
    fits.HDUList(hdus).writeto(path)
    return path


def test_sdss_file_gives_vacuum_wavelengths_ivar_and_what_the_pipeline_says(tmp_path):
    (record,) = read_spectrum(write_sdss(tmp_path / "spec.fits"))
    np.testing.assert_allclose(record.wave, 10 ** (1e-4 * (35800 + np.arange(400))), rtol=1e-12)
    np.testing.assert_array_equal(record.flux, np.arange(400.0))
    assert record.flux.dtype == np.dtype("=f8")
    assert record.name == "0266-51602-0007"
    assert record.metadata["z"] == pytest.approx(0.0633)
    assert record.metadata["zwarning"] == 4
    assert record.metadata["class"] == "GALAXY"
    assert record.metadata["ra"] == pytest.approx(146.28)  # of the object, not of the plate
    np.testing.assert_array_equal(record.metadata["spectroflux"], [1, 2, 3, 4, 5])


def test_bad_means_ivar_zero_and_not_the_mask(tmp_path):
    (record,) = read_spectrum(write_sdss(tmp_path / "spec.fits"))
    assert not record.good[10]
    assert record.good.sum() == 399


def test_boss_extinction_becomes_ebv(tmp_path):
    path = tmp_path / "boss.fits"
    write_sdss(path, EXTINCTION=np.array([0.52, 0.38, 0.2751, 0.21, 0.15]))
    assert read_spectrum(path)[0].metadata["ebv"] == pytest.approx(0.1)


def test_gzipped_file(tmp_path):
    plain = write_sdss(tmp_path / "spec.fits")
    packed = tmp_path / "spec.fits.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    np.testing.assert_array_equal(read_spectrum(packed)[0].flux, read_spectrum(plain)[0].flux)


def test_desi_coadd_joins_arms_by_inverse_variance(tmp_path):
    records = read_spectrum(write_desi(tmp_path / "coadd.fits"))
    assert [r.name for r in records] == [str(39633559463397282 + n) for n in range(3)]
    record = records[1]
    assert record.metadata["ra"] == pytest.approx(11.0)
    assert record.metadata["ebv"] == pytest.approx(0.04)
    np.testing.assert_allclose(record.wave, 3600 + 0.8 * np.arange(7781), atol=1e-6)
    overlap = (record.wave > 5759.9) & (record.wave < 5800.1)
    assert overlap.sum() == 51
    # B has flux 1, weight 1; R has flux 2, weight 2.
    np.testing.assert_allclose(record.flux[overlap], 5 / 3)
    np.testing.assert_allclose(record.ivar[overlap], 3)
    assert record.flux[0] == 1 and record.ivar[0] == 1
    assert record.flux[-1] == 3 and record.ivar[-1] == 3


def test_desi_file_with_one_arm(tmp_path):
    (record, *_) = read_spectrum(write_desi(tmp_path / "coadd.fits", arms="R"))
    assert (record.wave[0], record.wave.size) == (5760.0, 2326)


def test_join_arms_gives_no_weight_to_bad_pixels_even_where_they_are_nan():
    wave = np.arange(5000.0, 5010.0)
    blue, red = np.full((1, 10), 2.0), np.full((1, 10), 8.0)
    blue_ivar, red_ivar = np.ones((1, 10)), np.full((1, 10), 2.0)
    blue[0, 9], blue_ivar[0, 9] = np.nan, 0.0
    joined, flux, ivar = join_arms([(wave, blue, blue_ivar), (wave + 8, red, red_ivar)])
    np.testing.assert_array_equal(joined, np.arange(5000.0, 5018.0))
    assert flux[0, 8] == pytest.approx(6.0)  # (2 + 2 x 8) / 3
    assert ivar[0, 8] == 3
    assert (flux[0, 9], ivar[0, 9]) == (8.0, 2.0)


def test_join_arms_on_different_lattices_cuts_the_overlap_in_its_middle():
    blue, red = np.arange(5000.0, 5011.0), np.arange(5004.5, 5020.0)
    joined, flux, _ = join_arms(
        [(red, np.full((1, 16), 2.0), np.ones((1, 16))), (blue, np.ones((1, 11)), np.ones((1, 11)))]
    )
    assert np.all(np.diff(joined) > 0)
    middle = 0.5 * (5010.0 + 5004.5)
    np.testing.assert_array_equal(flux[0], np.where(joined <= middle, 1.0, 2.0))


def test_desi_stack_is_rest_frame(tmp_path):
    path = tmp_path / "stack.fits"
    wave = fits.ImageHDU(np.linspace(2500, 7000, 50), name="WAVE")
    wave.header["AIRORVAC"] = "vac"
    info = fits.BinTableHDU(Table({"Z": [0.0, 0.0]}), name="STACKINFO")
    images = [fits.ImageHDU(np.ones((2, 50), dtype="f4"), name=n) for n in ("FLUX", "IVAR")]
    fits.HDUList([fits.PrimaryHDU(), *images, wave, info]).writeto(path)
    records = read_spectrum(path)
    assert [r.name for r in records] == ["stack[0]", "stack[1]"]
    assert records[0].metadata["frame"] == "rest"
    assert records[0].metadata["z"] == 0
    wave.header["AIRORVAC"] = "air"
    fits.HDUList([fits.PrimaryHDU(), *images, wave]).writeto(path, overwrite=True)
    np.testing.assert_allclose(read_spectrum(path)[0].wave, air_to_vacuum(wave.data))


def test_file_read_through_specutils(tmp_path):
    from astropy import units as u
    from specutils import Spectrum

    path = tmp_path / "generic.fits"
    Spectrum(
        flux=np.full(100, 3.0) * u.Unit("1e-17 erg / (s cm2 Angstrom)"),
        spectral_axis=np.linspace(4000, 5000, 100) * u.AA,
    ).write(str(path), format="tabular-fits")
    (record,) = read_spectrum(path)
    np.testing.assert_allclose(record.flux, 3.0)
    assert (record.wave[0], record.name) == (4000.0, "generic")
    (record,) = read_spectrum(path, medium="air")
    assert record.wave[0] == pytest.approx(float(air_to_vacuum(4000.0)))


@pytest.mark.parametrize("kept", [2000, 6000, 15000, -3000])
@pytest.mark.parametrize("write", [write_sdss, write_desi])
def test_truncated_file_is_refused(tmp_path, write, kept):
    whole = write(tmp_path / "whole.fits").read_bytes()
    path = tmp_path / "half.fits"
    path.write_bytes(whole[:kept])
    with pytest.raises(FileError, match="half.fits.*expected an SDSS or BOSS"):
        read_spectrum(path)


def test_missing_folder_empty_and_foreign_files_are_named(tmp_path):
    with pytest.raises(FileError, match="nowhere.fits does not exist; expected"):
        read_spectrum(tmp_path / "nowhere.fits")
    with pytest.raises(FileError, match="is a folder"):
        read_spectrum(tmp_path)
    path = tmp_path / "empty.fits"
    path.touch()
    with pytest.raises(FileError, match="is empty"):
        read_spectrum(path)
    path.write_text("not a spectrum\n")
    with pytest.raises(FileError, match=r"empty.fits is not a spectrum .* DESI coadd"):
        read_spectrum(path)
    fits.PrimaryHDU(np.ones((3, 3))).writeto(path, overwrite=True)
    with pytest.raises(FileError, match=r"empty.fits is not a spectrum"):
        read_spectrum(path)


def test_incomplete_tables_name_what_is_missing(tmp_path):
    path = write_sdss(tmp_path / "noivar.fits", columns=("flux", "loglam"))
    with pytest.raises(FileError, match="lacks flux, loglam or ivar"):
        read_spectrum(path)
    path = write_desi(tmp_path / "noflux.fits", drop=("R_FLUX",))
    with pytest.raises(FileError, match="without R_FLUX"):
        read_spectrum(path)


def test_record_refuses_what_is_no_spectrum():
    with pytest.raises(InputError, match=r"'x': expected wave and flux of one shape"):
        SpectrumRecord(np.arange(1.0, 4.0), np.ones(4), name="x")
    with pytest.raises(InputError, match="increasing"):
        SpectrumRecord(np.array([3.0, 2.0]), np.ones(2))
    with pytest.raises(InputError, match=r"ivar of shape \(2,\)"):
        SpectrumRecord(np.array([2.0, 3.0]), np.ones(2), np.ones(3))


def test_record_marks_pixels_that_cannot_be_weighed():
    ivar = np.array([1.0, np.nan, -1.0, np.inf, 0.0, 1.0])
    flux = np.array([1.0, 1.0, 1.0, 1.0, 1.0, np.nan])
    record = SpectrumRecord(np.arange(1.0, 7.0), flux, ivar)
    np.testing.assert_array_equal(record.good, [True] + [False] * 5)
    assert record.median_sn == 1.0
    assert np.isnan(SpectrumRecord(np.arange(1.0, 7.0), flux).median_sn)


@pytest.mark.real_data
def test_every_shared_spectrum_agrees_with_the_index(real_data):
    files = {}
    with (real_data / "spectra" / "spectra_index.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 120
    for row in rows:
        if row["file"] not in files:
            files[row["file"]] = read_spectrum(real_data / row["file"])
        record = files[row["file"]][int(row["row"])]
        known = record.metadata
        assert record.name == row["object"]
        assert record.wave[0] == pytest.approx(float(row["wave_min"]), rel=1e-6)
        assert record.wave[-1] == pytest.approx(float(row["wave_max"]), rel=1e-6)
        # The index took DESI's S/N before its arms were joined.
        signal = float(row["median_sn_per_pix"])
        assert record.median_sn == pytest.approx(signal, rel=0.04, abs=0.01)
        if row["survey"] == "SDSS/BOSS":
            assert known["z"] == pytest.approx(float(row["z"]), abs=1e-6)
            assert known["class"] == row["class"]
            assert known["zwarning"] == int(row["zwarning"])
            assert known["spectroflux"].shape == (5,)
        if row["ra"] != "nan":
            assert known["ra"] == pytest.approx(float(row["ra"]))
            assert known["dec"] == pytest.approx(float(row["dec"]))


@pytest.mark.real_data
def test_shared_stack_and_tables_that_are_no_spectra(real_data):
    folder = real_data / "spectra" / "desi_fastspecfit"
    (stack,) = read_spectrum(folder / "stack-LRG.fits")
    assert stack.metadata["frame"] == "rest"
    assert (round(stack.wave[0]), round(stack.wave[-1])) == (2487, 6974)
    with pytest.raises(FileError, match="is not a spectrum"):
        read_spectrum(folder / "tractor-1054p567.fits")
