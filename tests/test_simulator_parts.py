"""The simulator's physics: cosmology, histories, dust, intergalactic gas, lines, priors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from jpassed.exceptions import FileError, InputError
from jpassed.simulator import sfh
from jpassed.simulator.attenuation import DustTerms, TemplateError
from jpassed.simulator.cosmology import FlatUniverse
from jpassed.simulator.dust import calzetti, drude_2175, igm_transmission
from jpassed.simulator.lines import LineModel, nebular_continuum, read_line_table
from jpassed.simulator.population import PopulationTable
from jpassed.simulator.priors import KINDS, Randoms, load_priors
from jpassed.simulator.ssp import AGE_EDGES

EDGES = torch.tensor(AGE_EDGES)


def test_cosmology_against_astropy():
    from astropy.cosmology import FlatLambdaCDM

    z = np.array([0.001, 0.01, 0.1, 0.5, 1.2])
    own, reference = FlatUniverse(70.0, 0.3), FlatLambdaCDM(70.0, 0.3)
    assert np.allclose(own.distance_modulus(z), reference.distmod(z).value, atol=1e-4)
    assert np.allclose(own.age(z), reference.age(z).value, rtol=1e-5)
    volume = reference.differential_comoving_volume(z).value
    assert np.allclose(own.volume_element(z), volume, rtol=1e-4)


@settings(max_examples=30, deadline=None)
@given(t0=st.floats(0.2, 13.4), ratio=st.floats(0.1, 40.0))
def test_delayed_tau_matches_the_integral(t0, ratio):
    tau = t0 / ratio
    weights = sfh.delayed_tau(torch.tensor([t0]), torch.tensor([tau]), EDGES)[0].numpy()
    t0, tau = float(torch.tensor(t0)), float(torch.tensor(tau))  # what float32 holds

    def psi(t: float) -> float:
        x = (t0 - t) / tau
        return x * np.exp(-x) if x > 0 else 0.0

    bins = [0, 1, 10, 20, 30, 40, 45]
    edges = AGE_EDGES * 1e-9
    total = quad(psi, 0, t0, points=[max(t0 - tau, 0.0)], limit=200)[0]
    for i in bins:
        upper = min(edges[i + 1], t0)
        expected = quad(psi, edges[i], upper)[0] / total if upper > edges[i] else 0.0
        assert weights[i] == pytest.approx(expected, rel=2e-5, abs=1e-12)
    assert weights.sum() == pytest.approx(1.0)


def test_young_tail_of_a_quenched_galaxy():
    weights = sfh.delayed_tau(torch.tensor([12.0]), torch.tensor([0.35]), EDGES)
    # psi(0) tau = x exp(-x) at x = 12/0.35, times 100 Myr
    expected = (12 / 0.35) * np.exp(-12 / 0.35) / 0.35e9
    assert float(sfh.recent_sfr(weights, EDGES)) == pytest.approx(expected, rel=0.15)


def test_burst_and_modulation():
    base = sfh.delayed_tau(torch.tensor([8.0, 8.0]), torch.tensor([3.0, 3.0]), EDGES)
    knots = torch.tensor([1e7, 1e8])
    quiet = sfh.modulate(base, torch.tensor([[0.0, 0.5], [1.0, 1.0]]), knots, EDGES)
    young = EDGES[1:] <= 1.0001e7
    assert (quiet[0, young] == 0).all() and torch.equal(quiet[1], base[1])
    middle = (EDGES[:-1] >= 0.999e7) & (EDGES[1:] <= 1.0001e8)
    assert torch.allclose(quiet[0, middle], 0.5 * base[0, middle])
    assert torch.equal(quiet[0, EDGES[:-1] >= 1e8], base[0, EDGES[:-1] >= 1e8])
    mixed = sfh.add_burst(
        base, torch.tensor([0.25, 0.0]), torch.tensor([5e7, 5e7]), torch.tensor([1e7, 1e7]), EDGES
    )
    assert torch.allclose(mixed.sum(dim=1), torch.ones(2).double())
    recent = mixed[0, EDGES[1:] <= 1.0001e8].sum() - 0.75 * base[0, EDGES[1:] <= 1.0001e8].sum()
    assert float(recent) == pytest.approx(0.25, abs=1e-9)
    assert torch.allclose(mixed[1], base[1])


def test_mean_log_age():
    one = torch.zeros(1, len(EDGES) - 1).double()
    one[0, 0] = 1.0
    bins, mean = sfh.age_moments(one, EDGES)
    # mean of log10 t over 0 < t < 5 Myr is log10(5e6) - log10(e)
    assert float(mean) == pytest.approx(np.log10(5e6) - np.log10(np.e))
    assert float(bins[-1]) == pytest.approx(np.log10(AGE_EDGES[-2:].mean()), abs=0.01)


def test_calzetti_values():
    # Calzetti et al. 2000: k(V) = R_V, k(B) - k(V) = 1, k(2.2 micron) = 0.37
    assert calzetti(np.array([5500.0]))[0] == pytest.approx(1.0, abs=0.01)
    bv = calzetti(np.array([4400.0, 5500.0])) * 4.05
    assert bv[0] - bv[1] == pytest.approx(1.0, abs=0.06)
    assert calzetti(np.array([21999.0]))[0] * 4.05 == pytest.approx(0.37, abs=0.08)
    curve = calzetti(np.geomspace(912.0, 60000.0, 400))
    assert (np.diff(curve) < 1e-3).all() and curve[-1] > 0
    assert drude_2175(np.array([2175.0]))[0] == pytest.approx(1 / 4.05)


@pytest.mark.parametrize("slope", [-0.6, -0.2, 0.0, 0.4])
def test_dust_terms_are_a_power_law(slope):
    wave = np.geomspace(1000.0, 50000.0, 60)
    wave = wave[(wave > 1200) & (wave < 25000)]
    functions = torch.tensor(DustTerms.functions(wave))
    coefficients = DustTerms.coefficients(
        torch.tensor([1.3]).double(), torch.tensor([slope]).double(), torch.zeros(1).double()
    )
    magnitudes = (coefficients @ functions)[0].numpy() / (-0.4 * np.log(10))
    expected = 1.3 * calzetti(wave) * (wave / 5500.0) ** slope
    assert np.allclose(magnitudes, expected, rtol=0.01, atol=1e-3)


def test_igm():
    z = np.array([0.0, 0.5, 1.1])
    wave = np.array([1000.0, 1216.0 * 1.4, 1300.0, 3000.0])
    through = igm_transmission(wave, z)
    assert np.all(through[0] == 1.0) and np.all(through[:, -1] == 1.0)
    # Lyman-alpha forest just below the line at z = 0.5: a_laf x^1.2 + a_dla x^2 at x = 1.4
    expected = np.exp(-(0.0168976 * 1.4**1.2 + 0.000161698 * 1.4**2))
    assert through[1, 1] == pytest.approx(expected, abs=2e-4)
    assert through[2, 2] < 0.8  # Lyman continuum at rest 619 Å


def test_template_error_variance():
    template = TemplateError(load_priors()["template_error"])
    wave = np.array([4500.0, 5600.0, 7800.0])
    functions = torch.tensor(template.functions(wave)).float()
    kind = torch.full((20000,), KINDS.index("forming"))
    values = template.coefficients(Randoms(20000, torch.Generator().manual_seed(1), "cpu"), kind)
    own = (values[:, : -len(template.modes)] @ functions[: -len(template.modes)]).numpy()
    own_settings = load_priors()["template_error"]
    rms = np.hypot(own_settings["short"]["rms"], own_settings["long"]["rms"])
    # log-normal spread of the amplitude raises the variance by exp(2 s^2)
    assert np.allclose(own.std(axis=0), rms * np.exp(own_settings["spread"] ** 2), rtol=0.06)
    with pytest.raises(InputError, match="modes"):
        TemplateError({**own_settings, "modes": {"other": {}}})


def test_embedded_lines():
    model = LineModel()
    zero = torch.zeros(1)
    solar = model.hii(zero, zero, zero)[0]
    ratio = {name: float(solar[model.index(name)]) for name in model.names}
    assert ratio["Halpha"] / ratio["Hbeta"] == pytest.approx(2.86, abs=0.01)
    assert ratio["OIII_5008"] / ratio["OIII_4960"] == pytest.approx(2.98, abs=0.03)
    # Curti et al. 2020 at 12 + log(O/H) = 8.69: log [OIII]/Hbeta -0.277, log [NII]/Halpha -0.489
    assert np.log10(ratio["OIII_5008"] / ratio["Hbeta"]) == pytest.approx(-0.277, abs=1e-3)
    assert np.log10(ratio["NII_6585"] / ratio["Halpha"]) == pytest.approx(-0.489, abs=1e-3)
    oii = ratio["OII_3727"] + ratio["OII_3730"]
    assert np.log10(oii / ratio["Hbeta"]) == pytest.approx(0.435, abs=2e-3)
    # L(Hbeta) = 4.78e-13 erg per ionising photon
    assert ratio["Hbeta"] * 3.828e33 / 1e46 == pytest.approx(4.78e-13, rel=1e-4)
    # in L_sun per Å: equivalent width of Hbeta against its own continuum near 1000-1700 Å
    assert 1 / nebular_continuum(np.array([4862.0]))[0] == pytest.approx(1400, rel=0.3)


@pytest.mark.real_data
def test_cloudyfsps_lines(real_data: Path):
    path = real_data / "ssp" / "fsps_nebular" / "ZAU_ND_mist.lines"
    table, own = LineModel(path), LineModel()
    log_z = torch.tensor([-1.0, -0.5, 0.0, 0.15])
    log_u = torch.tensor([-2.4, -2.7, -3.05, -3.2])
    physical = table.hii(log_z, log_u, torch.zeros(4))
    empirical = own.hii(log_z, log_u, torch.zeros(4))
    assert torch.isfinite(physical).all() and (physical > 0).all()
    beta = own.index("Hbeta")
    assert torch.allclose(physical[:, beta], empirical[:, beta], rtol=0.06)
    for name in ("OII_3727", "OIII_5008", "NII_6585", "SII_6718"):
        i = own.index(name)
        # the relations and the photoionisation models agree within 0.4 dex
        assert torch.all((torch.log10(physical[:, i] / empirical[:, i])).abs() < 0.4), name


def test_line_table_errors(tmp_path):
    with pytest.raises(FileError, match="no line table"):
        read_line_table(tmp_path / "none.lines")
    bad = tmp_path / "bad.lines"
    bad.write_text("#166 cols\n1.0 2.0\n0.0 1e6 -3 3\nhello\n")
    with pytest.raises(FileError, match="no CloudyFSPS line table"):
        read_line_table(bad)


def test_population_balance_keeps_the_density():
    priors = load_priors()
    natural = PopulationTable(priors, 22.0, 0.0)
    balanced = PopulationTable(priors, 22.0, 1.0)
    assert np.allclose(natural.log_weight, 0.0, atol=1e-9)
    drawn = np.diff(np.concatenate([[0.0], balanced.cumulative])).reshape(2, 320, -1)
    assert np.allclose(
        drawn * np.exp(-balanced.log_weight), balanced.natural, rtol=1e-5, atol=1e-12
    )
    bright = natural.m_edges[:-1] < 17.0
    assert drawn[:, :, bright].sum() > 20 * natural.natural[:, :, bright].sum()
    near = natural.z_edges[1:] < 0.02
    assert drawn[:, near].sum() > 0.002


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (17.77, 92.0),  # SDSS main sample, Strauss et al. 2002
        (19.8, 1050.0),  # GAMA, Driver et al. 2011
        (22.7, 17500.0),  # miniJPAS, Bonoli et al. 2021
    ],
)
def test_number_counts(limit, expected):
    """Galaxies per square degree of the luminosity functions, against surveys."""
    table = PopulationTable(load_priors(), limit, 0.0)
    assert table.per_square_degree == pytest.approx(expected, rel=0.3)


def test_priors_are_checked(tmp_path):
    with pytest.raises(InputError, match=r"unknown sections.*\['dusty'\]"):
        load_priors({"dusty": {}})
    with pytest.raises(InputError, match="unknown entries of 'dust'"):
        load_priors({"dust": {"colour": 1}})
    with pytest.raises(FileError, match="cannot be read"):
        load_priors(tmp_path / "none.yaml")
    own = tmp_path / "own.yaml"
    own.write_text("redshift: {upper: 0.5}\n")
    assert load_priors(own)["redshift"] == {"lower": 0.001, "upper": 0.5}
