"""SSP grids: readers, gaps, noise, remaining mass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jpassed.exceptions import FileError, InputError
from jpassed.simulator.bands import band_weights, rest_pixels, sdss_ur
from jpassed.simulator.massloss import analytic_fraction, remaining_fraction
from jpassed.simulator.ssp import AGE_EDGES, read_ssp

SOLAR_BC03 = 3  # Z = 0.02


@pytest.fixture(scope="module")
def bc03(real_data: Path):
    return read_ssp(real_data / "ssp" / "ssp_bc03_lr_chabrier.npz")


@pytest.fixture(scope="module")
def emiles(real_data: Path):
    return read_ssp(real_data / "ssp" / "ssp_emiles_kroupa.npz")


def colour(grid, metal: int, age: float) -> float:
    """u - r of the age bin that holds an age."""
    index = int(np.searchsorted(AGE_EDGES, age)) - 1
    flux = []
    for passband in sdss_ur():
        start, step = float(np.log(passband[1][0])) - 1e-3, 1e-3
        size = int(np.log(passband[1][-1] / passband[1][0]) / step) + 4
        pixels = np.exp(start + step * np.arange(size))
        spectrum = rest_pixels(grid.wave, grid.flux[metal, index], pixels, step)
        flux.append(float(spectrum @ band_weights(start, step, size, passband)))
    return -2.5 * np.log10(flux[0] / flux[1])


def test_age_bins_meet_10_and_100_myr():
    assert np.isclose(AGE_EDGES, 1e7).any() and np.isclose(AGE_EDGES, 1e8).any()
    assert AGE_EDGES[0] == 0.0 and AGE_EDGES[1] >= 5e6 and (np.diff(AGE_EDGES) > 0).all()


@pytest.mark.real_data
def test_bc03_colours_and_photons(bc03):
    # solar SSPs of 10 Myr, 1 and 10 Gyr, from the grid's own bins without rebinning
    for age, expected in ((1.09e7, 0.12), (1.0e9, 1.76), (1.0e10, 2.60)):
        assert colour(bc03, SOLAR_BC03, age) == pytest.approx(expected, abs=0.08)
    rate = (bc03.ionising[SOLAR_BC03] * np.diff(AGE_EDGES))[AGE_EDGES[1:] <= 1e8].sum()
    assert np.log10(rate) + 46 == pytest.approx(53.16, abs=0.03)
    assert bc03.zsun == 0.02 and (bc03.ionising * 1e46 >= 10**40.49).all()


@pytest.mark.real_data
def test_bc03_far_ultraviolet_of_z005_is_smooth(bc03):
    # in the grid itself single bins there hold no light at all
    pixel = int(np.argmin(abs(bc03.wave - 1500.0)))
    track = np.log10(bc03.flux[-1, :, pixel])
    # beyond 100 Myr the light falls by less than 0.5 dex a bin, even as the hot stars die
    steps = np.abs(np.diff(track[AGE_EDGES[:-1] > 1.2e8]))
    assert np.isfinite(track).all() and steps.max() < 0.5


@pytest.mark.real_data
def test_emiles_gaps_are_filled(bc03, emiles):
    window = (emiles.wave > 1000.0) & (emiles.wave < 50000.0)
    assert (emiles.flux[:, :, window] > 0).all()
    assert emiles.logz[0] == bc03.logz[0] and emiles.logz[-1] == bc03.logz[-1]
    own = int(np.argmin(abs(emiles.logz - np.log10(0.0198) - 0.06)))
    near = (emiles.wave > 5000) & (emiles.wave < 6000)
    base = (bc03.wave > 5000) & (bc03.wave < 6000)
    ratio = emiles.flux[own][:, near].mean(axis=1) / bc03.flux[SOLAR_BC03][:, base].mean(axis=1)
    # same mass formed after the change of IMF; libraries agree within 25 % on it
    assert np.all(abs(ratio - 1) < 0.25) and abs(np.median(ratio) - 1) < 0.1
    young = AGE_EDGES[1:] < 2.5e7
    assert np.allclose(
        emiles.flux[0][young].mean(axis=-1),
        [np.interp(emiles.wave, bc03.wave, f).mean() for f in bc03.flux[0][young]],
    )


@pytest.mark.real_data
def test_emiles_is_read_in_vacuum(emiles):
    # the Mg b trough of an old solar population: 5167.3-5183.6 Å in air, 5168.7-5185.0 in vacuum
    own = int(np.argmin(abs(emiles.logz - np.log10(0.0198) - 0.06)))
    spectrum = emiles.flux[own, -2]
    window = (emiles.wave > 5180.0) & (emiles.wave < 5190.0)
    line = emiles.wave[window][np.argmin(spectrum[window])]
    assert line == pytest.approx(5185.05, abs=1.0)


@pytest.mark.real_data
def test_remaining_mass(bc03, real_data):
    end = bc03.remaining[SOLAR_BC03, -1]
    assert end == pytest.approx(0.528, abs=0.005)  # the table at 13 Gyr
    assert (np.diff(bc03.remaining, axis=1) < 1e-9).all()
    table = np.loadtxt(real_data / "ssp" / "massloss_chabrier.txt")
    assert abs(analytic_fraction(table[:, 1] * 1e9) - table[:, 2]).max() < 0.05


def test_remaining_mass_without_tables(tmp_path):
    fraction = remaining_fraction(tmp_path, AGE_EDGES, np.array([-1.0, 0.0]))
    assert fraction.shape == (2, AGE_EDGES.size - 1)
    assert fraction[0, 0] > 0.88 and fraction[0, -1] == pytest.approx(0.51, abs=0.02)


def test_missing_and_foreign_files(tmp_path):
    with pytest.raises(FileError, match="no SSP grid at"):
        read_ssp(tmp_path / "nothing.npz")
    text = tmp_path / "text.npz"
    text.write_text("not an archive")
    with pytest.raises(FileError, match="cannot be read"):
        read_ssp(text)
    other = tmp_path / "other.npz"
    np.savez(other, spectra=np.ones(3))
    with pytest.raises(InputError, match=r"holds the arrays \['spectra'\].*BC03"):
        read_ssp(other)
    lone = tmp_path / "lone.npz"
    np.savez(lone, flux=np.ones((1, 2, 3)), mh=[0.0], age_gyr=[1.0, 2.0], wave=[1.0, 2.0, 3.0])
    with pytest.raises(InputError, match="companion"):
        read_ssp(lone)
    damaged = tmp_path / "damaged_bc03.npz"
    np.savez(damaged, flux=np.ones((1, 2, 3)), Z=[0.02], edges=[0.0, 1e6], wave=[1.0, 2.0, 3.0])
    with pytest.raises(InputError, match=r"shape \(1, 2, 3\), expected \(1, 1, 3\)"):
        read_ssp(damaged)
