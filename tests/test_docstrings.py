"""Public names say what they take, give and raise, and their examples run."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import numpy as np
import pytest
from contributing_pages import ROOT, write_toy_ssp
from docstring_rules import faults_of, faults_of_function, public_objects

import jpassed
from jpassed.exceptions import InputError

PUBLIC = public_objects()
OWN = {name: thing for name, thing in PUBLIC.items() if "." not in name}
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL
WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "jpassed").rglob("*.py")
    if ">>> " in path.read_text("utf-8")
)
NEEDS_NETWORK = {"crossmatch", "query"}


def test_the_public_names_are_found():
    assert set(OWN) == set(jpassed.__all__) - {"__version__"}
    assert len(PUBLIC) > 190
    assert {"evaluation.sigma_nmad", "posteriors.Gaussian", "vo.TapClient"} <= set(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_is_documented(name):
    assert faults_of(PUBLIC[name]) == []


@pytest.mark.parametrize("name", OWN)
def test_a_name_of_the_package_itself_has_an_example(name):
    examples = doctest.DocTestParser().get_examples(OWN[name].__doc__)
    assert examples
    skipped = [doctest.SKIP in example.options for example in examples]
    assert any(skipped) == (name in NEEDS_NETWORK)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """A folder with an SSP grid, which examples may read."""
    folder = tmp_path_factory.mktemp("examples")
    write_toy_ssp(folder / "ssp.npz")
    return folder


@pytest.mark.parametrize("name", WITH_EXAMPLES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning:simulator_grids")
def test_examples_run(name, shelf, monkeypatch):
    monkeypatch.chdir(shelf)
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    said: list[str] = []
    found = [test for test in doctest.DocTestFinder().find(module) if test.examples]
    assert found
    for test in found:
        runner.run(test, out=said.append)
    assert runner.failures == 0, "".join(said)


# Statistics, laws and constants that others have defined: their docstrings say who.
SOURCES = {
    "evaluation.bootstrap_interval": "Efron",
    "evaluation.crps": "Gneiting & Raftery 2007",
    "evaluation.crps_gaussian": "Gneiting & Raftery 2007",
    "evaluation.crps_quantiles": "Laio & Tamea 2007",
    "evaluation.crps_samples": "Ferro 2014",
    "evaluation.log_score": "Good 1952",
    "evaluation.odds": "Benitez 2000",
    "evaluation.pit": "Dawid 1984",
    "evaluation.pit_cramer_von_mises": "Cramer 1928",
    "evaluation.pit_outlier_rate": "Schmidt et al. 2020",
    "evaluation.sigma_nmad": "Brammer, van Dokkum & Coppi 2008",
    "jspectrum.dereddening_factor": "Fitzpatrick 1999",
    "objectives.request_nll": "Leung & Bovy 2024",
    "objectives.row_nll": "Leung & Bovy 2024",
    "posteriors.Recalibration": "Bordoloi",
    "posteriors.SplineFlow": "Durkan",
    "posteriors.StudentT": "Lange, Little & Taylor 1989",
    "simulator.read_ssp": "Bruzual & Charlot 2003",
    "jspectrum.extinction_coefficient": "Fitzpatrick 1999",
    "surveys.extinction_coefficient": "Schlegel, Finkbeiner & Davis (1998)",
    "units.ab_magnitude": "Oke & Gunn 1983",
    "units.air_to_vacuum": "Ciddor",
    "units.from_ab_magnitude": "Oke & Gunn 1983",
    "units.vacuum_to_air": "Ciddor",
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_formula_names_its_source(name):
    assert SOURCES[name] in " ".join(PUBLIC[name].__doc__.split())


# The rules themselves: each is broken once.


def complete(flux: np.ndarray, mode: str = "a") -> np.ndarray:
    """Do something.

    Parameters
    ----------
    flux : ndarray (N,)
        Microjansky.
    mode : str

    Returns
    -------
    ndarray (N,)

    Raises
    ------
    InputError
        Always.
    """
    raise InputError(mode)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("", "", None),
        ("Do something.", "Do something", "full stop"),
        ("mode : str", "mood : str", "mode is not described"),
        ("mode : str", "mood : str", "mood is described, and no parameter"),
        ("mode : str", "mode", "mode has no type"),
        ("flux : ndarray (N,)", "flux : ndarray", "flux is an array without a shape"),
        ("Microjansky.", "Bright.", "flux has no unit"),
        ("Returns\n    -------\n    ndarray (N,)", "Notes\n    -----\n    None", "no Returns"),
        ("InputError\n", "FileError\n", "raises InputError, and does not say so"),
        ("InputError\n", "JpassedError\n", None),
    ],
)
def test_a_lack_is_seen(old, new, fault, monkeypatch):
    monkeypatch.setattr(complete, "__doc__", complete.__doc__.replace(old, new))
    found = faults_of_function(complete)
    assert any(fault in text for text in found) if fault else found == []


def test_wrong_examples_are_seen():
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    assert doctest.DocTestRunner().run(wrong, out=lambda text: None).failed == 1


def test_the_rules_know_a_page_for_contributors():
    assert f"tests/{Path(__file__).name}" in (ROOT / "CONTRIBUTING.md").read_text("utf-8")
