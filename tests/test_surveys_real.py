"""Real catalogues through the surveys that come with jpassed."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

from jpassed.surveys import detect_survey, read_photometry

AB = 3631e6


@pytest.mark.real_data
def test_real_sdss_galaxies(real_data):
    table = Table.read(real_data / "catalogs" / "sdss_galaxies_gst.fits")
    assert detect_survey(table).name == "kcorrect-gst"
    photometry = read_photometry(table)
    assert len(photometry) == 7000
    seen = dict(zip(photometry.bands, photometry.observed.sum(axis=0), strict=True))
    # PROVENANCE: 670 NUV and 454 FUV detections, the rest is missing
    assert (seen["galex_nuv"], seen["galex_fuv"]) == (670, 454)
    assert all(seen[f"sdss_{b}"] == 7000 for b in "ugriz")
    assert not photometry.bad_rows.any()
    mag = -2.5 * np.log10(np.where(photometry.flux > 0, photometry.flux, np.nan) / AB)
    colour = dict(zip(photometry.bands, mag.T, strict=True))
    # SDSS spectroscopic galaxies: r near 17, red; joined bands on one AB scale
    assert np.nanmedian(colour["sdss_r"]) == pytest.approx(16.7, abs=0.3)
    assert np.nanmedian(colour["sdss_u"] - colour["sdss_r"]) == pytest.approx(2.3, abs=0.4)
    assert np.nanmedian(colour["galex_nuv"] - colour["sdss_u"]) == pytest.approx(1.5, abs=1.0)
    assert np.nanmedian(colour["sdss_z"] - colour["2mass_j"]) == pytest.approx(0.3, abs=0.3)


@pytest.mark.real_data
def test_real_sdss_arrays_by_hand(real_data):
    table = Table.read(real_data / "catalogs" / "sdss_galaxies_gst.fits")
    photometry = read_photometry(table, "sdss")
    expected = table["MODELFLUX"][:, 2] * 3.631 * 10 ** (0.4 * table["EXTINCTION"][:, 2])
    np.testing.assert_allclose(photometry.select(["sdss_r"]).flux[:, 0], expected, rtol=1e-6)


@pytest.mark.real_data
def test_real_tractor_row(real_data):
    table = Table.read(real_data / "spectra/desi_fastspecfit/tractor-1054p567.fits")
    photometry = read_photometry(table)
    seen = {b for b, o in zip(photometry.bands, photometry.observed[0], strict=True) if o}
    # release 9011: the northern surveys
    assert seen == {"bass_g", "bass_r", "mzls_z", "wise_w1", "wise_w2"}
    r = photometry.select(["bass_r"]).flux[0, 0]
    assert r == pytest.approx(
        float(table["FLUX_R"][0]) * 3.631 / float(table["MW_TRANSMISSION_R"][0]), rel=1e-6
    )
