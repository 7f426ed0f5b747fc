"""Requests that know the rest frame: only where the redshift is in the context."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_model import CONFIG, PASSBANDS, SCALING, VOCABULARY, make_model, make_objects

from jpassed.nn.readout import LocalReadout
from jpassed.nn.rest_frame import RestFrame, given_redshift
from jpassed.tokens import Requests, build_requests
from jpassed.vocabulary.lines import LINE_LIMITS, rest_wavelength

REDSHIFT = SCALING.names.index("z")
Z = (0.1, 0.5, 0.0)


def labelled(z=Z, error=0.0, *, other=False):
    """Three objects with all bands and their redshift, and the stellar mass if asked."""
    made = make_objects(len(z) + 1, 3, observed=1.0, given=0.0).rows(list(range(len(z))))
    value, given = made.value.clone(), torch.zeros_like(made.given)
    value[:, REDSHIFT] = torch.tensor(z)
    given[:, REDSHIFT] = True
    if other:
        given[:, SCALING.names.index("logmstar")] = True
    return replace(
        made, value=value, given=given, label_error=torch.full_like(made.label_error, error)
    )


def bands(*where):
    kind = torch.full((len(where),), VOCABULARY.index("flux"))
    wavelength, width = (torch.tensor(x, dtype=torch.float32) for x in zip(*where, strict=True))
    return Requests(kind, wavelength, width, tuple(f"flux:{i}" for i in range(len(where))))


def module(kind=RestFrame, **changes):
    torch.manual_seed(2)
    made = kind(replace(CONFIG, rest_frame=True, readout_kernels=3, **changes), VOCABULARY)
    torch.nn.init.normal_(made.last.weight)
    return made.requires_grad_(False)


def test_redshifts_of_a_context():
    found = given_redshift(labelled(other=True).context().labels, VOCABULARY)
    np.testing.assert_allclose(found.redshift, Z, atol=1e-6)
    assert found.known.all() and not found.error.any()
    some = labelled(error=0.01)
    some.given[1, REDSHIFT] = False
    found = given_redshift(some.context().labels, VOCABULARY)
    assert found.known.tolist() == [True, False, True]
    np.testing.assert_allclose(found.redshift, (0.1, 0.0, 0.0), atol=1e-6)
    assert found.error[0] > 0 and found.error[1] == 0


def test_only_the_rest_wavelength_counts():
    rest = module()
    asked = bands((5500.0, 110.0), (7500.0, 150.0), (5000.0, 100.0))
    out = rest(labelled().context().labels, asked)
    # 5500 / 1.1 = 7500 / 1.5 = 5000
    np.testing.assert_allclose(out[0, 0], out[1, 1], atol=1e-4)
    np.testing.assert_allclose(out[0, 0], out[2, 2], atol=1e-4)
    assert (out[0, 0] - out[0, 1]).abs().max() > 0.1


def test_without_a_redshift_or_a_passband_it_is_silent():
    rest = module()
    some = labelled()
    some.given[1, REDSHIFT] = False
    asked = build_requests(("z", "flux:p1"), VOCABULARY, PASSBANDS)
    out = rest(some.context().labels, asked)
    assert not out[:, 0].any() and not out[1].any()
    assert out[[0, 2], 1].abs().amax(1).min() > 0.1
    nothing = labelled()
    nothing.given[:] = False
    assert not rest(nothing.context().labels, asked).any()


def test_an_uncertain_redshift_is_told_from_an_exact_one():
    rest, asked = module(), bands((5500.0, 110.0))
    exact = rest(labelled().context().labels, asked)
    # Among them the one whose logarithm is the zero of the scaled input.
    kind = VOCABULARY["z"]
    for blur in (0.001, float(np.exp(-3.0)) * kind.width, 0.05):
        vague = labelled()
        error = vague.label_error.clone()
        error[:, REDSHIFT] = blur * (1.0 + vague.value[:, REDSHIFT])
        other = rest(replace(vague, label_error=error).context().labels, asked)
        assert (exact - other).abs().amax((1, 2)).min() > 1e-3


def test_a_line_is_not_read_where_the_redshift_is_vague():
    readout, asked = module(LocalReadout), build_requests(("ew_oii",), VOCABULARY, {})
    size = [readout(labelled(error=e).context(), asked).abs().max() for e in (0.0, 1e-4, 0.05)]
    assert size[0] == pytest.approx(float(size[1]), rel=0.01)
    assert size[2] < 0.05 * size[0]


def test_lines_are_read_where_they_are_observed():
    readout = module(LocalReadout)
    readout.log_width.fill_(np.log(0.004))
    first, last = LINE_LIMITS["ew_oii"]
    # The line falls on the band of 5400 Å in the first object, on none in the others.
    made = labelled((5400.0 / (0.5 * (first + last)) - 1.0, 0.3, 0.3))
    asked = build_requests(("ew_oii", "logc_oii", "logmstar"), VOCABULARY, {})
    before = readout(made.context(), asked)
    flux = made.flux.clone()
    flux[:, 2] *= 1.01
    after = readout(replace(made, flux=flux, error=made.error).context(), asked)
    moved = (after - before).abs().amax(-1)
    assert moved[0, :2].min() > 30 * moved[1:, :2].max()
    assert not before[:, 2].any()
    made.given[:, REDSHIFT] = False
    assert not readout(made.context(), asked).any()


def test_rest_wavelengths_are_those_of_lines_and_of_the_continuum_under_them():
    assert rest_wavelength("ew_halpha") == rest_wavelength("logc_halpha") == 6564.61
    assert rest_wavelength("ew_oii") == pytest.approx(3728.485)
    assert rest_wavelength("logmstar") == rest_wavelength("z") == 0.0
    assert set(LINE_LIMITS) < set(VOCABULARY.names)


def test_untrained_it_changes_nothing():
    context = labelled(other=True).context()
    asked = build_requests(("ew_halpha", "flux:p1", "z"), VOCABULARY, PASSBANDS)
    plain, knowing = make_model(readout_kernels=3), make_model(readout_kernels=3, rest_frame=True)
    knowing.load_state_dict(plain.state_dict(), strict=False)
    with torch.inference_mode():
        np.testing.assert_allclose(
            plain(context, asked).parameters, knowing(context, asked).parameters, atol=1e-6
        )
