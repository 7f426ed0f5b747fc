"""Derived quantities: definitions, values, and columns of an annotated table."""

from __future__ import annotations

import numpy as np
import pytest
from annotation_tables import BANDS, make_table, masked, numbers, small_model
from astropy import units as u
from astropy.cosmology import FlatLambdaCDM
from astropy.io.votable.ucd import check_ucd
from astropy.table import QTable
from hypothesis import given
from hypothesis import strategies as st

from jpassed.annotation import annotate, derive, infer, load_derived
from jpassed.annotation.derived import compute, needed
from jpassed.annotation.formulas import FORMULAS, luminosity_distance
from jpassed.exceptions import InputError, UnknownNameError
from jpassed.posteriors.joint import JointSamples
from jpassed.vocabulary import load_vocabulary

COSMOLOGY = FlatLambdaCDM(70.0, 0.3)
BPT = ("bpt_sf", "bpt_comp", "bpt_agn")


def draws(**changes):
    """One galaxy at z = 0.1 with a Balmer decrement of 2.86."""
    values = {
        "z": 0.1, "logc_oii": 40.0, "logc_hbeta": 40.1, "logc_oiii": 40.1, "logc_halpha": 40.0,
        "ew_oii": 30.0, "ew_hbeta": 10.0, "ew_oiii": 20.0, "ew_nii": 12.0, "ew_sii": 15.0,
        "ew_halpha": 28.6 * 10**0.1, "logsfr": 0.5, "logmstar": 10.0, "mabs_r": -20.0,
        "ur_rest": 1.5,
    }  # fmt: skip
    return {name: np.atleast_1d(np.asarray(v, float)) for name, v in (values | changes).items()}


@pytest.mark.parametrize("name", load_derived())
def test_the_entries_of_the_data_file(name):
    entry, vocabulary = load_derived()[name], load_vocabulary()
    assert name not in vocabulary.names
    assert entry.formula in FORMULAS
    assert set(entry.needs) <= set(vocabulary.scalars)
    assert "z" in entry.needs
    assert check_ucd(entry.ucd, check_controlled_vocabulary=True)
    assert u.Unit(entry.unit) is not None
    assert entry.format.startswith("%")
    assert entry.description
    assert entry.reference
    assert np.isfinite(compute(name, draws())).all()


def test_distances_are_those_of_astropy():
    z = np.array([0.002, 0.01, 0.1, 0.4, 0.8, 1.2])
    expected = COSMOLOGY.luminosity_distance(z).to_value(u.cm)
    np.testing.assert_allclose(luminosity_distance(z), expected, rtol=4e-6)
    assert luminosity_distance(0.0) == 0.0


def test_values_of_one_galaxy():
    one = draws()
    area = 4 * np.pi * COSMOLOGY.luminosity_distance(0.1).to_value(u.cm) ** 2
    halpha = 28.6 * 10**40.1

    def value(name):
        return float(compute(name, one)[0])

    assert value("lineflux_halpha") == pytest.approx(halpha / area, rel=1e-5)
    assert value("lineflux_oiii") == pytest.approx(20 * 10**40.1 / area, rel=1e-5)
    assert value("lineflux_nii") == pytest.approx(12e40 * 10**0.0007 / area, rel=1e-5)
    assert value("lineflux_sii") == pytest.approx(15e40 * 10**-0.0125 / area, rel=1e-5)
    assert value("loglum_halpha") == pytest.approx(np.log10(halpha))
    assert value("balmer_decrement") == pytest.approx(2.86)
    assert value("loglum_halpha_corr") == pytest.approx(np.log10(halpha))
    sfr = np.log10(halpha) - 41.27 + np.log10(0.63 / 0.67)
    assert value("logsfr_halpha") == pytest.approx(sfr, abs=1e-3)
    assert value("logsfr_halpha_obs") == pytest.approx(sfr, abs=1e-3)
    assert value("logssfr") == pytest.approx(-9.5)
    assert value("mabs_u") == pytest.approx(-18.5)
    assert value("o3") == pytest.approx(np.log10(2.0))
    assert value("n2") == pytest.approx(np.log10(12 / (28.6 * 10**0.1)) + 0.0007)


def test_dust_by_the_decrement():
    """A_V = 1 of Calzetti's curve: R_V = 4.05, k 3.325 and 4.597."""
    a_halpha, a_hbeta = 3.325 / 4.05, 4.597 / 4.05
    clean = draws()
    dusty = draws(
        ew_halpha=clean["ew_halpha"] * 10 ** (-0.4 * a_halpha), ew_hbeta=10 * 10 ** (-0.4 * a_hbeta)
    )
    for name in ("loglum_halpha_corr", "logsfr_halpha"):
        np.testing.assert_allclose(compute(name, dusty), compute(name, clean), atol=1e-9)
    lost = compute("logsfr_halpha_obs", clean) - compute("logsfr_halpha_obs", dusty)
    np.testing.assert_allclose(lost, 0.4 * a_halpha, atol=1e-9)
    strange = draws(ew_hbeta=30.0)  # a decrement below 2.86 adds no light
    np.testing.assert_allclose(
        compute("loglum_halpha_corr", strange), compute("loglum_halpha", strange)
    )


def test_lines_that_are_not_in_emission():
    sign = draws(ew_halpha=[5.0, -5.0, 5.0, -5.0], ew_hbeta=[2.0, 2.0, -2.0, -2.0])
    sign = {name: np.broadcast_to(v, (4,)) for name, v in sign.items()}
    assert list(np.sign(compute("lineflux_halpha", sign))) == [1, -1, 1, -1]
    assert list(np.isneginf(compute("loglum_halpha", sign))) == [False, True, False, True]
    np.testing.assert_array_equal(compute("balmer_decrement", sign)[1:], [0.0, np.inf, np.nan])
    corrected = compute("loglum_halpha_corr", sign)
    assert np.isfinite(corrected[0])
    assert np.isneginf(corrected[[1, 3]]).all()
    assert np.isnan(corrected[2])
    assert np.isnan(compute("bpt_sf", sign)[1:]).all()


@given(
    *(st.floats(-1, 300) for _ in range(4)),
    st.floats(38, 42),
)
def test_classes_are_exclusive(nii, halpha, oiii, hbeta, level):
    one = draws(ew_nii=nii, ew_halpha=halpha, ew_oiii=oiii, ew_hbeta=hbeta, logc_oiii=level)
    total = sum(compute(name, one)[0] for name in BPT)
    if min(nii, halpha, oiii, hbeta) > 0:
        assert total == 1.0
    else:
        assert np.isnan(total)


@pytest.mark.parametrize(
    ("n2", "o3", "expected"),
    [(-0.5, -0.5, "bpt_sf"), (-0.2, 0.0, "bpt_comp"), (0.0, 0.9, "bpt_agn"), (0.6, -1, "bpt_agn")],
)
def test_classes_of_known_ratios(n2, o3, expected):
    one = draws(
        ew_halpha=100.0, ew_nii=100 * 10**n2, ew_hbeta=30.0, ew_oiii=30 * 10**o3, logc_oiii=40.1
    )
    assert [name for name in BPT if compute(name, one)[0] == 1] == [expected]


def test_fluxes_agree_with_the_truth_within_their_errors():
    """Joint draws about noisy labels: derived fluxes and ratios cover the truth as they say."""
    rng = np.random.default_rng(2)
    n, m = 400, 200
    sigma = {"z": 0.002, "logc_halpha": 0.03, "ew_halpha": 3.0, "logc_hbeta": 0.03, "ew_hbeta": 1.0}
    truth = draws(
        z=rng.uniform(0.05, 0.4, n), logc_halpha=rng.normal(40, 0.5, n),
        logc_hbeta=rng.normal(40, 0.5, n), ew_halpha=rng.uniform(20, 200, n),
        ew_hbeta=rng.uniform(8, 60, n),
    )  # fmt: skip
    seen = {name: truth[name] + s * rng.normal(size=n) for name, s in sigma.items()}
    many = {name: seen[name][:, None] + s * rng.normal(size=(n, m)) for name, s in sigma.items()}
    names = ("lineflux_halpha", "loglum_halpha", "balmer_decrement")
    found = derive(JointSamples(many), names)
    for name in names:
        low, high = found.quantile(name, [0.16, 0.84]).T
        true = compute(name, truth)
        assert np.mean((true > low) & (true < high)) == pytest.approx(0.68, abs=0.08)


def test_names():
    assert needed(["n2", "flux:J0660", "lineflux_nii"]) == (
        "z", "ew_nii", "ew_halpha", "flux:J0660", "logc_halpha",
    )  # fmt: skip
    with pytest.raises(UnknownNameError, match="lineflux_halpha"):
        compute("lineflux_alpha", draws())
    with pytest.raises(UnknownNameError, match="logc_halpha"):
        compute("lineflux_halpha", {"z": np.zeros(1)})


# --- columns ------------------------------------------------------------------------------------

OUTPUTS = ("mabs_u", "z", "lineflux_oii", "mabs_r", "n2", "ur_rest", "bpt_agn")


@pytest.fixture(scope="module")
def table() -> QTable:
    out = make_table(6)
    for band in BANDS:
        out = masked(out, band, [2])
    return out


@pytest.fixture(scope="module")
def annotated(table) -> QTable:
    return annotate(table, model=small_model(), outputs=OUTPUTS, samples=6)


def test_columns_and_their_words(table, annotated):
    four = ("", "_err", "_lo", "_hi")
    expected = [f"jp_mabs_u{s}" for s in (*four, "_samples")]
    expected += [f"jp_z{s}" for s in (*four, "_samples")]
    expected += [f"jp_lineflux_oii{s}" for s in (*four, "_defined", "_samples")]
    assert annotated.colnames[len(table.colnames) :][: len(expected)] == expected
    assert [c for c in annotated.colnames if c.startswith("jp_bpt")] == [
        "jp_bpt_agn", "jp_bpt_agn_defined", "jp_bpt_agn_samples",
    ]  # fmt: skip
    column = annotated["jp_lineflux_oii"]
    assert column.unit == u.erg / u.s / u.cm**2
    assert column.info.meta["ucd"] == "phot.flux;em.line"
    assert column.info.format
    assert "3727" in column.info.description
    assert annotated["jp_mabs_u_err"].unit == u.mag


def test_samples_are_joint(annotated):
    total = numbers(annotated["jp_mabs_r_samples"]) + numbers(annotated["jp_ur_rest_samples"])
    np.testing.assert_allclose(numbers(annotated["jp_mabs_u_samples"]), total, rtol=1e-5)
    assert annotated["jp_mabs_u_samples"].shape == (6, 6)


def test_what_means_nothing_is_masked(annotated):
    for name in ("jp_mabs_u", "jp_lineflux_oii", "jp_n2", "jp_bpt_agn", "jp_bpt_agn_defined"):
        assert np.isnan(numbers(annotated[name])[2]), name
    fine = np.arange(6) != 2
    assert np.isfinite(numbers(annotated["jp_mabs_u"])[fine]).all()
    share = numbers(annotated["jp_n2_defined"])[fine]
    assert ((share >= 0) & (share <= 1)).all()


def test_derived_outputs_alone_and_the_seed(table):
    one, again = (
        annotate(table[:2], model=small_model(), outputs="mabs_u", batch_size=size)
        for size in (1, 2)
    )
    assert [c for c in one.colnames if c.startswith("jp_")] == [
        "jp_mabs_u", "jp_mabs_u_err", "jp_mabs_u_lo", "jp_mabs_u_hi", "jp_chi2", "jp_flag",
        "jp_nbands",
    ]  # fmt: skip
    np.testing.assert_allclose(one["jp_mabs_u"].value, again["jp_mabs_u"].value, rtol=1e-3)
    with pytest.raises(InputError, match="annotated before"):
        annotate(one, model=small_model(), outputs="mabs_u")


def test_a_posterior_draws_them(table):
    with pytest.raises(InputError, match="posterior.sample"):
        infer(table, model=small_model(), outputs=["z", "mabs_u"])
    with pytest.raises(UnknownNameError, match="lineflux_halpha"):
        annotate(table, model=small_model(), outputs=["lineflux_alpha"])
    posterior = infer(table, model=small_model(), outputs=["z"])
    samples = posterior.sample(5, names=("mabs_u",), rng=1)
    assert samples.names == ("mabs_u",)
    assert samples.drawn == ("z", "mabs_r", "ur_rest")
    assert samples.units["mabs_u"] == "mag"
