"""Whole simulated galaxies: bandfluxes, labels, reproducibility."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from simulator_grids import toy_bands, toy_grid

from jpassed.exceptions import CoverageError, InputError
from jpassed.simulator import LABELS, GalaxySimulator, read_ssp
from jpassed.simulator.attenuation import TemplateError
from jpassed.simulator.cosmology import FlatUniverse
from jpassed.simulator.galaxies import LOG_LSUN_10PC
from jpassed.simulator.library import YOUNG_BINS
from jpassed.simulator.lines import LineModel
from jpassed.simulator.priors import KINDS, load_priors
from jpassed.simulator.ssp import AGE_EDGES
from jpassed.simulator.synthesis import Synthesis
from jpassed.vocabulary import load_vocabulary

BANDS = toy_bands()


@pytest.fixture(scope="module")
def simulator() -> GalaxySimulator:
    return GalaxySimulator(toy_grid(), BANDS, chunk=512)


@pytest.fixture(scope="module")
def sample(simulator):
    return simulator.sample(3000, torch.Generator().manual_seed(7))


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_shapes_and_names(sample):
    assert sample.bands == tuple(name for name, _, _ in BANDS)
    assert sample.bandflux.shape == (3000, len(BANDS)) and sample.bandflux.dtype == torch.float32
    assert set(sample.labels) == set(sample.observable) == set(LABELS)
    scalar = set(load_vocabulary().names) - {"flux"}
    assert set(LABELS) == scalar
    assert torch.isfinite(sample.bandflux).all() and (sample.bandflux >= 0).all()
    optical = [i for i, name in enumerate(sample.bands) if name != "galex_fuv"]
    assert (sample.bandflux[:, optical] > 0).all()
    for name in LABELS:
        assert torch.isfinite(sample.labels[name]).all(), name
        assert sample.observable[name].dtype == torch.bool


def test_labels_respect_the_vocabulary(sample):
    kinds = load_vocabulary()
    for name in LABELS:
        value = sample.labels[name]
        assert float(value.min()) >= kinds[name].lower, name
        assert float(value.max()) <= kinds[name].upper, name


def test_magnitude_is_that_of_the_r_band(sample):
    flux = sample.bandflux[:, sample.bands.index("rSDSS")]
    assert torch.allclose(-2.5 * torch.log10(flux / 3631e6), sample.mag_r, atol=2e-4)
    assert float(sample.mag_r.max()) <= 24.0


def test_same_seed_same_galaxies(simulator, sample):
    again = simulator.sample(3000, generator(7))
    assert torch.equal(again.bandflux, sample.bandflux)
    assert all(torch.equal(again.labels[k], sample.labels[k]) for k in LABELS)
    other = simulator.sample(3000, generator(8))
    assert not torch.equal(other.mag_r, sample.mag_r)


def test_history_labels(simulator, sample):
    z = sample.labels["z"].numpy()
    age = simulator.table.universe.age(z)
    assert (sample.labels["t0"].numpy() <= age * (1 + 1e-4)).all()
    assert (sample.labels["logmstar"] < sample.labels["logmformed"]).all()
    lost = sample.labels["logmformed"] - sample.labels["logmstar"]
    assert float(lost.max()) < 0.31
    ssfr = sample.labels["logsfr"] - sample.labels["logmstar"]
    assert float(ssfr.min()) >= -14.0 - 1e-3 and float(ssfr.max()) < -7.0
    on_floor = ~sample.observable["logsfr"]
    assert on_floor.any() and torch.allclose(ssfr[on_floor], torch.tensor(-14.0), atol=1e-3)
    assert (sample.labels["logage_l"] < sample.labels["logage_m"] + 0.2).all()


def test_lines_outside_the_range_are_no_targets(sample):
    z, seen = sample.labels["z"], sample.observable
    assert torch.equal(seen["ew_halpha"], 6564.61 * (1 + z) < 9600.0)
    assert torch.equal(seen["ew_sii"], 6732.67 * (1 + z) < 9600.0)
    assert seen["ew_oii"].all() and seen["z"].all()


def test_dust_reddens(sample):
    # attenuated colours are redder than those free of dust, where there is dust
    dusty = sample.labels["av"] > 1.0
    assert (sample.labels["ur_rest"] > sample.labels["ur_int"])[dusty].float().mean() > 0.98


def test_population(sample):
    assert set(sample.kind.unique().tolist()) == set(range(len(KINDS)))
    ew = sample.labels["ew_halpha"]
    starburst = sample.kind == KINDS.index("starburst")
    quiescent = sample.kind == KINDS.index("quiescent")
    assert float(ew[starburst].median()) > 5 * float(ew.median()) > 0
    assert float(ew[quiescent].median()) < 3.0


def test_balance_weights(simulator):
    flat = simulator.sample(20000, generator(1))
    natural = GalaxySimulator(toy_grid(), BANDS, chunk=4096, balance=0.0).sample(
        20000, generator(2)
    )
    assert float(natural.log_weight.abs().max()) < 1e-6
    weight = torch.exp(-flat.log_weight.double())
    mean_z = (weight * flat.labels["z"]).sum() / weight.sum()
    # few galaxies carry much of the weight: an effective number of a thousand or more
    effective = weight.sum() ** 2 / (weight**2).sum()
    error = float(natural.labels["z"].std()) / float(effective) ** 0.5
    assert abs(float(mean_z) - float(natural.labels["z"].mean())) < 5 * error
    assert (flat.mag_r < 18).float().mean() > 10 * (natural.mag_r < 18).float().mean()


def synthesis(bands) -> tuple[Synthesis, LineModel]:
    lines = LineModel()
    template = TemplateError(load_priors()["template_error"])
    return Synthesis([toy_grid()], bands, lines, template, torch.device("cpu")), lines


def one_age(z: list[float], metal: int, age_bin: int) -> dict[str, torch.Tensor]:
    """Arguments of `Synthesis.bandflux` for bare stars of one age bin."""
    n = len(z)
    mixed = torch.zeros(n, 2, AGE_EDGES.size - 1)
    mixed[:, 0, age_bin] = 1.0
    priors = load_priors()
    stars = torch.zeros(n, 6 + TemplateError(priors["template_error"]).size)
    return {
        "z": torch.tensor(z),
        "mixed": mixed,
        "groups": [(0, metal, 0, n)],
        "stars": stars,
        "cloud": torch.zeros(n, 6),
        "lines": torch.zeros(n, len(LineModel().names)),
        "hbeta": torch.zeros(n),
    }


@pytest.mark.parametrize("age_bin", [10, 40])
def test_bandfluxes_against_synphot(age_bin):
    """The oracle of the bar: synphot's effstim within 1e-3 mag, at awkward redshifts."""
    from astropy import units as u
    from synphot import Observation, SourceSpectrum, SpectralElement
    from synphot.models import Empirical1D

    redshifts = [0.0123, 0.2501, 0.7777, 1.19]
    own, _ = synthesis(BANDS)
    arguments = one_age(redshifts, 1, age_bin)
    arguments["stars"][:, 0] = 0.0
    flux, _, _ = own.bandflux(**arguments)
    grid = toy_grid()
    checked = 0
    for i, z in enumerate(redshifts):
        source = SourceSpectrum(
            Empirical1D,
            points=grid.wave * (1 + z),
            lookup_table=grid.flux[1, age_bin] * u.Unit("erg/(s cm2 AA)"),
            keep_neg=True,
        )
        for j, (name, wave, throughput) in enumerate(BANDS):
            if name == "galex_fuv" and z > 0.1:
                continue  # the Lyman-alpha forest enters
            band = SpectralElement(Empirical1D, points=wave, lookup_table=throughput)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                expected = Observation(source, band, binset=None, force="taper").effstim("fnu")
            ratio = float(flux[i, j]) / (expected.value * 1e12)
            assert abs(-2.5 * np.log10(ratio)) < (3e-3 if name == "galex_fuv" else 1e-3), (name, z)
            checked += 1
    assert checked > 60


def test_a_line_adds_its_flux():
    """Halpha of a known luminosity through a band: T(lambda) lambda L / int T/lambda.

    The line has a width of 120 km/s, which matters at the corners of these bands (5 % of T).
    """
    own, lines = synthesis(BANDS)
    arguments = one_age([0.1, 0.1, 0.1123], 1, 30)
    bare, _, _ = own.bandflux(**arguments)
    arguments["lines"][1:, lines.index("Halpha")] = 0.02
    lit, _, _ = own.bandflux(**arguments)
    excess = (lit - bare).double()
    assert torch.allclose(excess[0], torch.zeros(len(BANDS)).double(), atol=1e-9)
    for i, z in ((1, 0.1), (2, 0.1123)):
        seen = 6564.61 * (1 + z)
        for j, (name, wave, throughput) in enumerate(BANDS):
            through = np.interp(seen, wave, throughput, left=0.0, right=0.0)
            norm = np.trapezoid(throughput / wave, wave) * 2.99792458e18
            expected = 0.02 * through * seen * (1 + z) / norm * 1e12
            assert float(excess[i, j]) == pytest.approx(expected, rel=0.02, abs=1.5e-4), name


def test_equivalent_width_is_line_over_continuum(simulator):
    """A narrow band on Halpha against its neighbours gives the labelled EW back."""
    rest = 6564.61
    wave = np.arange(rest - 40.0, rest + 40.5, 0.5)
    bands = [
        (name, wave * 1.02 + shift, np.clip((30.0 - abs(wave - rest)) / 2.0, 0.0, 1.0))
        for name, shift in (("blue", -90.0), ("line", 0.0), ("red", 90.0))
    ]
    wide = np.arange(5400.0, 7000.5, 5.0)
    bands.append(("rSDSS", wide, np.clip((780.0 - abs(wide - 6200.0)) / 60.0, 0.0, 1.0)))
    own = GalaxySimulator(
        toy_grid(),
        bands,
        priors={
            "redshift": {"lower": 0.02, "upper": 0.0200001},
            "dust": {"young_maximum": 0.5},
            "line_scatter": {"hii": 0.0, "old": 0.0, "agn": 0.0},
        },
    )
    got = own.sample(400, generator(3))
    flux = got.bandflux.double()
    # per unit frequency to per unit wavelength
    pivot = [np.sqrt(np.trapezoid(t * w, w) / np.trapezoid(t / w, w)) for _, w, t in bands[:3]]
    flambda = flux[:, :3] / torch.tensor(pivot).double() ** 2
    continuum = 0.5 * (flambda[:, 0] + flambda[:, 2])
    width = np.trapezoid(bands[1][2], bands[1][1])
    measured = (flambda[:, 1] / continuum - 1) * width / 1.02
    # [NII] 6549.9 and 6585.3 are inside the band too
    expected = got.labels["ew_halpha"].double() + got.labels["ew_nii"] * (1 + 10**-0.47)
    strong = expected > 8
    ratio = (measured / expected)[strong]
    assert strong.sum() > 50
    assert float(ratio.median()) == pytest.approx(1.0, abs=0.05)


def test_mass_from_light(simulator):
    """The mass scales the spectrum of one solar mass to the magnitude, through the distance."""
    got = simulator.sample(64, generator(5))
    own, _ = synthesis([b for b in BANDS if b[0] == "rSDSS"])
    # a galaxy of no dust and one age, by hand: 1e10 M_sun formed at z = 0.1
    arguments = one_age([0.1], 1, 40)
    flux, _, _ = own.bandflux(**arguments)
    modulus = float(simulator.table.universe.distance_modulus(np.array([0.1]))[0])
    log_flux = np.log10(float(flux[0, 0]) / 1e12) + LOG_LSUN_10PC - 0.4 * modulus - np.log10(1.1)
    by_hand = log_flux + 10.0
    # L_lambda (1 Å) at r of the toy grid, converted with astropy
    from astropy import units as u

    grid = toy_grid()
    luminosity = np.interp(6200 / 1.1, grid.wave, grid.flux[1, 40]) * 1e10 * u.Lsun / u.AA
    distance = 10 ** (modulus / 5) * 10 * u.pc
    seen = luminosity / (4 * np.pi * distance**2) / 1.1
    expected = seen.to(u.uJy, u.spectral_density(6200 * u.AA)).value
    assert by_hand == pytest.approx(np.log10(expected), abs=0.02)
    assert got.labels["logmformed"].median() > 6


def test_two_grids_and_shares():
    grid = toy_grid()
    only = GalaxySimulator([grid, grid], BANDS, shares=(1.0, 0.0)).sample(200, generator(1))
    assert torch.isfinite(only.bandflux).all()
    with pytest.raises(InputError, match="shares must be 2 numbers"):
        GalaxySimulator([grid, grid], BANDS, shares=(1.0,))


def test_bad_arguments(simulator):
    grid = toy_grid()
    name, wave, throughput = BANDS[0]
    with pytest.raises(InputError, match="given twice"):
        GalaxySimulator(grid, [BANDS[0], BANDS[0]])
    with pytest.raises(InputError, match="must be 1-D, of one length"):
        GalaxySimulator(grid, [(name, wave, throughput[:-1])])
    with pytest.raises(CoverageError, match="'far' transmits over"):
        GalaxySimulator(grid, [("far", wave + 1e6, throughput)])
    with pytest.raises(InputError, match="no passbands"):
        GalaxySimulator(grid, [])
    with pytest.raises(InputError, match="no SSP grid"):
        GalaxySimulator([], BANDS)
    with pytest.raises(InputError, match="at least 1"):
        simulator.sample(0)
    with pytest.raises(InputError, match="r_limit"):
        GalaxySimulator(grid, BANDS, r_limit=5.0)


def test_young_bins_are_younger_than_10_myr():
    assert AGE_EDGES[YOUNG_BINS] == pytest.approx(1e7)


@pytest.mark.real_data
def test_sdss_galaxies_lie_inside(real_data: Path):
    """A small version of benchmarks/colours.py."""
    from astropy.table import Table
    from scipy.spatial import cKDTree

    from jpassed.filters import load_filters

    table = Table.read(real_data / "catalogs" / "sdss_galaxies_gst.fits")[:1500]
    flux = np.array(table["MODELFLUX"], dtype=float)
    with np.errstate(divide="ignore"):
        error = 1 / np.sqrt(np.array(table["MODELFLUX_IVAR"], dtype=float))
    good = ((flux > 5 * error) & np.isfinite(error)).all(axis=1)
    magnitude = -2.5 * np.log10(flux[good]) - np.array(table["EXTINCTION"])[good]
    magnitude += np.array([-0.036, 0.012, 0.010, 0.028, 0.040])
    ssp = real_data / "ssp"
    bands = [(b.name, b.wave, b.throughput) for b in load_filters("sdss")]
    simulator = GalaxySimulator(read_ssp(ssp / "ssp_emiles_kroupa.npz"), bands, r_limit=20.0)
    fake = -2.5 * np.log10(simulator.sample(6000, generator(4)).bandflux.numpy())
    noise = np.random.default_rng(1).normal(size=fake.shape)
    fake = fake + noise * np.median(1.0857 * (error / flux)[good], axis=0)
    real, fake = (m[:, :-1] - m[:, 1:] for m in (magnitude, fake))
    root = np.linalg.cholesky(np.linalg.inv(np.cov(fake.T)))
    tree = cKDTree(fake @ root)
    own = tree.query((fake @ root)[:2000], k=11)[0][:, 10]
    inside = tree.query(real @ root, k=10)[0][:, 9] < np.percentile(own, 99)
    assert inside.mean() > 0.95


def test_absolute_magnitude_and_continuum_agree_with_the_bandflux(sample):
    z, r = sample.labels["z"], sample.labels["mabs_r"]
    near = (z < 0.03) & (sample.labels["ew_halpha"] < 30.0)
    modulus = torch.as_tensor(FlatUniverse(70.0, 0.3).distance_modulus(z.double().numpy()))
    apart = (sample.mag_r - modulus - r)[near]
    assert near.sum() > 20
    assert apart.median().abs() < 0.06 and apart.abs().quantile(0.9) < 0.2
    # L_lambda from the absolute magnitude: 4 pi (10 pc)^2 * 3631 Jy * c / lambda^2
    log_density = np.log10(1.1965e40 * 3.631e-20 * 2.998e18 / 6176.0**2) - 0.4 * r
    ratio = (sample.labels["logc_halpha"] - log_density)[near]
    assert ratio.median().abs() < 0.1 and ratio.abs().quantile(0.9) < 0.25
