"""The vocabulary: kinds, their definitions and their scaling."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u
from hypothesis import given
from hypothesis import strategies as st

from jpassed.exceptions import InputError, UnknownNameError
from jpassed.vocabulary import load_vocabulary, split_quantity
from jpassed.vocabulary.vocabulary import SCALES, SUPPORTS

VOCABULARY = load_vocabulary()
LINES = ("ew_oii", "ew_hbeta", "ew_oiii", "ew_halpha", "ew_nii", "ew_sii")
NAMES = (
    *("z", "logmstar", "logmformed", "logsfr", "logzstar", "t0", "tau", "av", "av_young"),
    *("ur_rest", "ur_int", "logage_m", "logage_l", *LINES),
    *("logc_oii", "logc_hbeta", "logc_oiii", "logc_halpha", "mabs_r", "flux"),
)


def test_kinds_and_their_order():
    # Models store kinds by position.
    assert VOCABULARY.names == NAMES
    assert VOCABULARY.scalars == NAMES[:-1]
    assert len(VOCABULARY) == len(NAMES)
    assert [kind.name for kind in VOCABULARY] == list(NAMES)
    assert VOCABULARY.index("z") == 0


@pytest.mark.parametrize("name", NAMES)
def test_kind_is_complete(name):
    kind = VOCABULARY[name]
    u.Unit(kind.unit)
    assert re.fullmatch(r"[A-Za-z]+(\.[A-Za-z0-9]+)*(;[A-Za-z]+(\.[A-Za-z0-9]+)*)*", kind.ucd)
    assert kind.support in SUPPORTS
    assert kind.scale in SCALES
    assert kind.lower < kind.upper
    assert kind.width > 0 and kind.softening > 0
    assert kind.format % 1.25
    assert kind.description and kind.reference


def test_logarithms_are_dimensionless_and_say_of_what():
    for kind in VOCABULARY:
        if kind.name.startswith(("logm", "logs", "logz")):
            assert kind.unit == ""
            assert kind.description.startswith("log10(")
    assert VOCABULARY["t0"].unit == "Gyr"
    assert VOCABULARY["flux"].unit == "uJy"


@pytest.mark.parametrize("name", LINES)
def test_equivalent_widths_may_be_negative(name):
    kind = VOCABULARY[name]
    assert kind.unit == "Angstrom"
    assert kind.lower < 0
    assert "Rest-frame" in kind.description and "positive in emission" in kind.description


@pytest.mark.parametrize(
    "words",
    [
        r"FlatLambdaCDM\(70, 0.3\)",
        r"vacuum internally",
        r"3727.09 and 3729.88",
        r"Chabrier IMF; Kroupa grids are lowered by 0.034 dex",
        r"floored at log sSFR = -14",
        r"unattenuated F_lambda at 5635 Å rest",
        r"zero-point scatter of 0.02 mag per tile and band that is \*not\* in `_err`",
        r"multiplied by 1/w",
        r"Point estimate in columns: median",
    ],
)
def test_definitions_are_there(words):
    assert any(re.search(words, text) for text in VOCABULARY.definitions)


def test_digest_is_of_the_rows():
    assert re.fullmatch("[0-9a-f]{16}", VOCABULARY.digest)
    assert load_vocabulary() is VOCABULARY


def test_quantities_name_a_passband_after_a_colon():
    assert split_quantity("z") == ("z", None)
    assert split_quantity("flux:J0660") == ("flux", "J0660")
    assert split_quantity("flux:") == ("flux", "")
    assert VOCABULARY["flux:J0660"] is VOCABULARY["flux"]
    assert "flux:galex_fuv" in VOCABULARY and "z" in VOCABULARY
    for wrong in ("redshift", "z:J0660", "", 3, None):
        assert wrong not in VOCABULARY


@pytest.mark.parametrize("name", ["logmstarr", "z:J0660"])
def test_unknown_quantity_lists_the_valid_ones(name):
    with pytest.raises(UnknownNameError, match="unknown quantity") as caught:
        VOCABULARY[name]
    assert name in str(caught.value) and "logmstar, logsfr" in str(caught.value)
    with pytest.raises(UnknownNameError):
        VOCABULARY.index(name)


def test_near_names_are_suggested():
    with pytest.raises(UnknownNameError, match="Did you mean 'ew_halpha'"):
        VOCABULARY["ew_halfa"]


@pytest.mark.parametrize("name", NAMES[:-1])
@given(share=st.floats(0.0, 1.0))
def test_scaling_round_trips_over_the_support(name, share):
    kind = VOCABULARY[name]
    value = kind.lower + share * (kind.upper - kind.lower)
    back = kind.from_scaled(kind.to_scaled(value))
    assert back == pytest.approx(value, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", NAMES[:-1])
@given(scaled=st.floats(-3.0, 3.0))
def test_scaling_rises_and_its_error_is_the_slope(name, scaled):
    kind = VOCABULARY[name]
    value = kind.from_scaled(scaled)
    step = 1e-5 * max(1.0, abs(float(value)))
    slope = (kind.to_scaled(value + step) - kind.to_scaled(value - step)) / (2 * step)
    assert slope > 0
    assert kind.scaled_error(value, 0.3) == pytest.approx(0.3 * slope, rel=1e-5)


def test_scaled_values_by_hand():
    # The redshift's scale makes an error of 0.01 (1 + z) the same at every redshift.
    z = VOCABULARY["z"]
    assert z.to_scaled(0.0) == pytest.approx(-1.5)
    np.testing.assert_allclose(z.scaled_error(np.r_[0.0, 1.0], np.r_[0.01, 0.02]), 0.05)
    ew = VOCABULARY["ew_halpha"]
    assert ew.to_scaled(-7.0) == pytest.approx((np.arcsinh(-3.5) - 2.5) / 1.4)
    assert ew.to_scaled(0.0) == pytest.approx(-2.5 / 1.4)
    assert ew.scaled_error(0.0, 1.0) == pytest.approx(1 / (2.0 * 1.4))
    assert VOCABULARY["logmstar"].to_scaled(11.0) == pytest.approx(1.0)


@given(st.floats(-50.0, 1e4))
def test_equivalent_widths_are_scaled_oddly_about_zero(value):
    ew = replace(VOCABULARY["ew_oiii"], loc=0.0)
    assert ew.to_scaled(-value) == pytest.approx(-ew.to_scaled(value), abs=1e-12)


def test_bandfluxes_are_not_scaled_by_their_kind():
    flux = VOCABULARY["flux"]
    for call in (
        lambda: flux.to_scaled(1.0),
        lambda: flux.from_scaled(1.0),
        lambda: flux.scaled_error(1.0, 0.1),
    ):
        with pytest.raises(InputError, match="'flux' is scaled per object"):
            call()
