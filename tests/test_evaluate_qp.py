"""Posteriors of redshift for qp, written and read back."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import QTable
from click.testing import CliRunner

from jpassed.cli import main
from jpassed.exceptions import InputError, MissingDependencyError
from jpassed.io.catalogs import write_catalog
from jpassed.posteriors import Gaussian, Posterior
from jpassed.posteriors.columns import posterior_columns
from jpassed.validation import evaluate, qp_ensemble

MEAN, SIGMA = np.array([0.2, 0.45, 0.8, 0.5, 0.6]), np.array([0.01, 0.02, 0.05, 0.03, 0.02])


@pytest.fixture
def posterior() -> Posterior:
    return Posterior({"z": Gaussian(MEAN, SIGMA, lower=0.0, upper=1.2)})


@pytest.fixture
def table(posterior) -> QTable:
    columns = posterior_columns(posterior, pdf=True, masked=np.arange(5) == 4)
    result = QTable(columns)
    result["z_spec"] = MEAN + 0.01
    return result


@pytest.fixture
def qp():
    return pytest.importorskip("qp", reason="qp is not installed: pip install qp-prob")


def test_a_round_trip_keeps_posteriors(qp, posterior, tmp_path):
    qp_ensemble(posterior).write_to(str(tmp_path / "pz.hdf5"))
    back = qp.read(str(tmp_path / "pz.hdf5"))
    assert back.npdf == 5
    np.testing.assert_allclose(np.ravel(back.median()), MEAN, atol=2e-3)
    grid = np.linspace(0.1, 1.0, 50)
    np.testing.assert_allclose(back.cdf(grid), posterior.cdf("z", grid[None, :]), atol=0.05)
    np.testing.assert_allclose(back.ancil["zmedian"], MEAN)


def test_a_row_without_a_prediction_is_marked(qp, table):
    found = qp_ensemble(table)
    assert found.ancil["predicted"].tolist() == [1, 1, 1, 1, 0]
    assert np.isnan(found.ancil["zmedian"][4])
    np.testing.assert_allclose(np.ravel(found.pdf(0.3))[4], 1 / 1.2)


def test_the_command_writes_them_beside_the_report(qp, table, tmp_path):
    many = table[np.tile(np.arange(4), 5)]
    write_catalog(many, tmp_path / "cat.fits")
    words = ["evaluate", str(tmp_path / "cat.fits"), "--truth", "z=z_spec", "--qp"]
    shown = CliRunner().invoke(main, [*words, "--bootstrap", "0", "-o", str(tmp_path / "out")])
    assert shown.exit_code == 0, shown.output
    back = qp.read(str(tmp_path / "out" / "pz.hdf5"))
    np.testing.assert_allclose(back.ancil["truth"], many["z_spec"], rtol=1e-6)


@pytest.mark.parametrize("there", [None, object()])
def test_without_qp_the_message_says_what_to_install(monkeypatch, posterior, there):
    monkeypatch.setitem(sys.modules, "qp", there)
    with pytest.raises(MissingDependencyError, match=r"jpassed\[qp\]"):
        qp_ensemble(posterior)


def test_sources_without_posteriors_are_refused(monkeypatch, table):
    monkeypatch.setitem(sys.modules, "qp", SimpleNamespace(Ensemble=None))
    found = evaluate(table, {"z": "z_spec"}, n_bootstrap=0)
    with pytest.raises(InputError, match="densities=True"):
        qp_ensemble(found)
    table.remove_column("jp_z_pdf")
    with pytest.raises(InputError, match="pdf=True"):
        qp_ensemble(table)


def test_posteriors_of_other_quantities_alone_write_no_redshifts(table, tmp_path):
    mass = QTable(posterior_columns(Posterior({"logmstar": Gaussian(10 + MEAN, SIGMA)}), pdf=True))
    mass["known"] = 10 + MEAN
    found = evaluate(mass, {"logmstar": "known"}, densities=True, n_bootstrap=0)
    assert found.compared["logmstar"].densities is not None
    folder = found.write(tmp_path / "report")
    assert (folder / "report.html").is_file() and not (folder / "pz.hdf5").exists()


def test_the_command_says_where_there_is_no_density_to_write(monkeypatch, table, tmp_path):
    monkeypatch.setitem(sys.modules, "qp", SimpleNamespace(Ensemble=None, hist=None))
    plain = table[np.tile(np.arange(4), 5)]
    plain.remove_column("jp_z_pdf")
    write_catalog(plain, tmp_path / "cat.fits")
    words = ["evaluate", str(tmp_path / "cat.fits"), "--qp", "--bootstrap", "0"]
    refused = CliRunner().invoke(main, [*words, "--truth", "logmstar=z_spec"])
    assert refused.exit_code == 2 and "--truth z=COLUMN" in refused.output
    done = CliRunner().invoke(main, [*words, "--truth", "z=z_spec"])
    assert done.exit_code == 0 and "no p(z)" in done.output
    assert (tmp_path / "cat_evaluation" / "report.html").is_file()
