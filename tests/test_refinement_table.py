"""Refinement: files, and refined columns of a table."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from annotation_tables import make_table, numbers, write_small
from astropy.table import QTable

from jpassed import annotate
from jpassed.annotation.flags import Flag
from jpassed.annotation.refined import ROW_COLUMNS
from jpassed.exceptions import InputError, ModelError
from jpassed.nn.checkpoint import read_model
from jpassed.refinement.coordinates import CORE, NAMES
from jpassed.refinement.emulator import EmulatorNet
from jpassed.refinement.fit_proposal import ProposalNets
from jpassed.refinement.flow import AutoregressiveMixture
from jpassed.refinement.rest_frame import rest_grid
from jpassed.refinement.storage import CARD, WEIGHTS, Refinement, load_refinement, write_refinement
from jpassed.simulator.lines import LineModel

MEANS = (0.3, 20.0, 0.2, 80.0, 0.2, 0.0, -0.1, 1.5, 1.0, 0.5, 1.0, 0.3, 0.5, 0.5, -1.0, 1.2, 9.0,
         -2.0, -29.5, 0.2, 9.5, -10.0, 0.7, 1.0, -1.0)  # fmt: skip


def small_refinement(digest: str) -> Refinement:
    """An emulator of flat spectra, and flows that know nothing."""
    torch.manual_seed(2)
    lines, pixels = len(LineModel(None).wave), len(rest_grid())
    emulator = EmulatorNet(16, 2, lines, pixels, units=4)
    for value in emulator.buffers():
        if value.is_floating_point():
            value.zero_()
    emulator.scale.fill_(1.0)
    emulator.basis[0] = 0.1
    emulator.basis[1] = torch.linspace(-0.3, 0.3, pixels)
    emulator.residual.fill_(0.05)
    emulator.mean_out[-1, 2:] = -3.0
    prior = AutoregressiveMixture(2, CORE, len(NAMES), width=8, components=2)
    proposal = ProposalNets(24, size=8, hidden=8, components=2)
    for flow in (prior, proposal.flow):
        flow.loc.copy_(torch.tensor(MEANS))
        flow.root.copy_(0.3 * torch.eye(len(NAMES)))
    parts = Refinement(emulator, prior, proposal, {"network": digest})
    for module in (emulator, prior, proposal):
        module.eval().requires_grad_(False)
    return parts


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = write_small(tmp_path_factory.mktemp("model"))
    # ReadOut has six heads: its width of 24 goes into them.
    write_refinement(path, small_refinement(read_model(path).digest))
    return path


@pytest.fixture(scope="module")
def table() -> QTable:
    return make_table(4)


@pytest.fixture(scope="module")
def refined(folder, table) -> QTable:
    return annotate(table, model=str(folder), outputs="z,logmstar,flux:J0400", refine=120)


def test_columns_and_their_ranges(refined, table):
    for name, (text, ucd) in ROW_COLUMNS.items():
        assert refined[name].info.description == text
        assert refined[name].info.meta["ucd"] == ucd
    efficiency = numbers(refined["jp_refine_efficiency"])
    assert ((efficiency > 0) & (efficiency <= 1)).all()
    assert np.isfinite(numbers(refined["jp_refine_logevidence"])).all()
    assert {"jp_z", "jp_logmstar_lo", "jp_flux_J0400"} <= set(refined.colnames)
    assert "jp_refine_efficiency" not in table.colnames


def test_failures_are_flagged(refined, folder, table):
    failed = numbers(refined["jp_refine_efficiency"]) * 120 < 10
    assert ((refined["jp_flag"] & Flag.NOT_REFINED > 0) == failed).all()
    # Photometry that nothing explains.
    odd = table.copy()
    odd["J0400"][:] *= 1e4
    odd = annotate(odd, model=str(folder), outputs="z", refine=120)
    assert (odd["jp_flag"] & Flag.NOT_REFINED).all()
    assert "32: refinement was asked and failed" in refined["jp_flag"].info.description
    plain = annotate(table, model=str(folder), outputs="z")
    assert not (plain["jp_flag"] & Flag.NOT_REFINED).any()


def test_bandfluxes_stay_those_of_the_network(refined, folder, table):
    plain = annotate(table, model=str(folder), outputs="z,logmstar,flux:J0400")
    np.testing.assert_allclose(numbers(refined["jp_flux_J0400"]), numbers(plain["jp_flux_J0400"]))
    assert "jp_refine_k" not in plain.colnames


def test_rows_do_not_depend_on_batches_or_each_other(refined, folder, table):
    again = annotate(
        table[:3], model=str(folder), outputs="z,logmstar,flux:J0400", refine=120, batch_size=2
    )
    for name in ("jp_z", "jp_logmstar_err", "jp_refine_efficiency"):
        np.testing.assert_allclose(numbers(again[name]), numbers(refined[name])[:3], rtol=2e-2)


def test_joint_samples_and_derived_quantities_come_from_refined_draws(folder, table):
    found = annotate(
        table, model=str(folder), outputs="z,logc_halpha,ew_halpha,lineflux_halpha", refine=120,
        samples=40,
    )  # fmt: skip
    z = numbers(found["jp_z_samples"])
    assert z.shape == (4, 40)
    assert np.isfinite(z).all()
    assert "jp_lineflux_halpha" in found.colnames


def test_lines_outside_the_bands_have_no_refined_draws(folder, table):
    far = table.copy()
    far["z_spec"] = np.full(len(table), 0.9)  # Halpha at 12,470 A
    found = annotate(
        far, model=folder, outputs=["lineflux_halpha", "lineflux_oii"], context={"z": "z_spec"},
        refine=128,
    )  # fmt: skip
    assert np.all(found["jp_lineflux_halpha"].mask)
    assert (numbers(found["jp_lineflux_halpha_defined"]) == 0).all()
    assert (numbers(found["jp_lineflux_oii_defined"]) > 0).any()


def test_a_known_redshift_is_kept(folder, table):
    found = annotate(
        table, model=str(folder), outputs="logmstar", refine=120, context={"z": "z_spec"}
    )
    assert np.isfinite(numbers(found["jp_logmstar"])).all()


@pytest.mark.parametrize("n", [1, 99, -5, True, 2.5])
def test_too_few_draws_are_refused(folder, table, n):
    with pytest.raises(InputError, match="at least 100 draws"):
        annotate(table, model=str(folder), refine=n)


def test_other_labels_in_the_context_are_refused(folder, table):
    with pytest.raises(InputError, match="not logmstar"):
        annotate(table, model=str(folder), refine=120, context={"logmstar": "mass"})


def test_samples_of_bandfluxes_are_refused(folder, table):
    with pytest.raises(InputError, match="no refined draws of flux:J0400"):
        annotate(table, model=str(folder), outputs="z,flux:J0400", refine=120, samples=5)


def test_annotated_tables_are_not_annotated_again(refined, folder):
    with pytest.raises(InputError, match="annotated before"):
        annotate(refined, model=str(folder), outputs="z", refine=120)


def test_files_come_back(folder):
    model = read_model(folder)
    parts = load_refinement(model, str(folder))
    state = small_refinement(model.digest).proposal.state_dict()
    for name, value in parts.proposal.state_dict().items():
        np.testing.assert_allclose(value, state[name], rtol=1e-3, atol=1e-4)


def test_a_model_without_refinement_says_so(tmp_path, table):
    path = write_small(tmp_path / "plain")
    with pytest.raises(ModelError, match="has no refinement"):
        annotate(table, model=str(path), refine=120)


def test_a_refinement_of_another_network_is_refused(folder, tmp_path, table):
    path = tmp_path / "other"
    shutil.copytree(folder, path)
    card = json.loads((path / CARD).read_text())
    (path / CARD).write_text(json.dumps({**card, "network": "0123456789abcdef"}))
    with pytest.raises(ModelError, match="belongs to the network 0123456789abcdef"):
        annotate(table, model=str(path), refine=120)


def test_a_damaged_refinement_is_refused(folder, tmp_path, table):
    path = tmp_path / "damaged"
    shutil.copytree(folder, path)
    blob = bytearray((path / WEIGHTS).read_bytes())
    blob[-1] ^= 1
    (path / WEIGHTS).write_bytes(bytes(blob))
    with pytest.raises(ModelError, match="damaged"):
        annotate(table, model=str(path), refine=120)
