"""The real galaxies that other benchmarks rest on: which they are, and what is joined to them."""

import importlib.util

import numpy as np
import pytest

from jpassed.units import ab_magnitude

LINES = ("ew_oii", "ew_hbeta", "ew_oiii", "ew_halpha", "ew_nii", "ew_sii")


@pytest.fixture(scope="module")
def real_spectra(project_root):
    path = project_root / "benchmarks" / "real_spectra.py"
    spec = importlib.util.spec_from_file_location("real_spectra", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.real_data
def test_the_seventeen_galaxies(real_spectra, real_data):
    table = real_spectra.real_galaxy_jspectra(real_data)
    assert len(table) == 17
    assert set(table["spec_class"]) == {"GALAXY"}
    assert (table["zwarning"] == 0).all()
    assert 0.009 < table["z_spec"].min() < table["z_spec"].max() < 0.262
    np.testing.assert_allclose(ab_magnitude(table["rSDSS"].unmasked.value), 19.0, atol=1e-9)
    names, objects = list(table["name"]), np.array(table["object"])
    twice = [names.index(n) for n in ("0266-51602-0526", "0266-51630-0525")]
    assert objects[twice[0]] == objects[twice[1]]
    assert len(set(objects)) == 16
    halpha = table["ew_halpha"]
    assert (halpha.filled(0) > 10).sum() == 9
    # 0295-51585-0596: LINEEW of 52.21 Å, observed frame, at z = 0.1379
    assert halpha[names.index("0295-51585-0596")] == pytest.approx(52.21 / 1.13788, abs=0.01)
    for line in LINES:
        known = ~table[line].mask
        assert (table[f"{line}_err"][known] > 0).all()
        np.testing.assert_array_equal(table[f"{line}_err"].mask, table[line].mask)
    # The lowest redshifts leave [OII] blueward of what SDSS covers.
    assert table["ew_oii"].mask[names.index("0390-51900-0282")]
    more = real_spectra.real_galaxy_jspectra(real_data, warnings=(0, 16), deredden=False)
    assert len(more) == 18 and "ebv" not in more.colnames


@pytest.mark.real_data
def test_brown_galaxies(real_spectra, real_data):
    table = real_spectra.brown_jspectra(real_data, redshifts=[0.1, 0.5], r_mags=[18.0, 21.0, 22.0])
    assert len(table) == 90 * 2 * 3
    np.testing.assert_allclose(ab_magnitude(table["rSDSS"].value), table["true_mag_rsdss"])
    bands = table.meta["bands"]
    assert len(bands) == 62 and bands[-2:] == ["galex_fuv", "galex_nuv"]
    near, far = table["true_z"] == 0.1, table["true_z"] == 0.5
    # 3620-6780 Å at rest: at z = 0.1 J0410-J0720, at z = 0.5 J0560-J0910.
    measured = {band: np.array(table["measured"][:, bands.index(band)]) for band in bands}
    assert measured["J0650"].all()
    assert measured["J0420"][near].mean() > 0.8 and not measured["J0420"][far].any()
    assert not measured["J0800"][near].any() and measured["J0800"][far].all()
    assert not measured["galex_nuv"].any()
    for band in bands:
        assert np.isfinite(table[band].value).all()
        assert (table[band].value > 0).all()
