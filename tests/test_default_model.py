"""The embedded model: what it must do whatever its weights are today.

Bars here are loose on purpose: figures are measured by ``benchmarks/accuracy.py`` and stand in
the model card; these tests notice a model that is broken, swapped or read wrongly.
"""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from astropy.table import QTable

import jpassed
from jpassed.annotation import infer
from jpassed.evaluation import coverage, fraction_within, pit, sigma_nmad
from jpassed.io.catalogs import read_catalog
from jpassed.weights import find_model, list_models


@pytest.fixture(scope="module")
def example() -> QTable:
    return read_catalog(Path(str(files("jpassed.cli") / "data" / "example.fits")))


@pytest.fixture(scope="module")
def model():  # type: ignore[no-untyped-def]
    return jpassed.load_model("default")


def magnitude(table: QTable) -> np.ndarray:
    return -2.5 * np.log10(np.asarray(table["rSDSS"].value) / 3631e6)


def test_the_weights_are_small_and_their_card_is_complete(model) -> None:  # type: ignore[no-untyped-def]
    folder = find_model("default")
    assert (folder / "model.safetensors").stat().st_size < 16e6
    card = list_models()["default"]
    assert card["vocabulary"] == jpassed.vocabulary.load_vocabulary().digest
    assert {"training", "provenance", "package_version", "sha256", "steps"} <= set(card)
    assert card["provenance"]["noise"]["minijpas-v1"].startswith("ce5504f82266")
    assert (folder / "MODEL_CARD.md").is_file()
    assert model.network.config.patch_bands == jpassed.load_filters("jpas").names


def test_redshifts_of_the_example(example: QTable, model) -> None:  # type: ignore[no-untyped-def]
    posterior = infer(example, model=model, outputs=("z", "logmstar"))
    true = np.asarray(example["true_z"], dtype=float)
    z = posterior.median("z")
    bright = magnitude(example) < 21.5
    assert sigma_nmad(z[bright], true[bright]) < 0.01
    assert sigma_nmad(z, true) < 0.05
    inside = coverage(pit(posterior["z"], true), 0.95)
    assert 0.88 < float(inside) <= 1.0
    mass = posterior.median("logmstar") - np.asarray(example["true_logmstar"], dtype=float)
    assert abs(np.median(mass)) < 0.15
    assert 1.4826 * np.median(np.abs(mass - np.median(mass))) < 0.35


def test_fewer_bands_larger_errors(example: QTable, model) -> None:  # type: ignore[no-untyped-def]
    bands = [c for c in example.colnames if f"{c}_err" in example.colnames]
    order = np.random.default_rng(5).permutation(bands)
    widths = []
    for count in (62, 31, 8, 1):
        kept = [c for band in order[:count] for c in (band, f"{band}_err")]
        posterior = infer(example[kept], model=model)
        for name in posterior.names:
            low, middle, high = posterior.quantile(name, [0.16, 0.5, 0.84]).T
            assert np.isfinite([low, middle, high]).all(), (count, name)
            assert (high > low).all(), (count, name)
        low, high = posterior.quantile("z", [0.16, 0.84]).T
        widths.append(np.median(high - low))
    assert widths == sorted(widths)
    assert widths[-1] > 5 * widths[0]


def test_larger_errors_larger_uncertainty(example: QTable, model) -> None:  # type: ignore[no-untyped-def]
    noisy = example.copy()
    rng = np.random.default_rng(8)
    for name in [c for c in example.colnames if f"{c}_err" in example.colnames]:
        sigma = noisy[f"{name}_err"]
        noisy[name] = noisy[name] + 3.0 * sigma * rng.standard_normal(len(noisy))
        noisy[f"{name}_err"] = sigma * np.sqrt(10.0)
    sharp = np.diff(infer(example, model=model, outputs=("z",)).quantile("z", [0.16, 0.84])).T[0]
    blunt = np.diff(infer(noisy, model=model, outputs=("z",)).quantile("z", [0.16, 0.84])).T[0]
    # Another draw of the noise may rule out a second peak: not every single interval grows.
    assert np.mean(blunt > sharp) > 0.85
    assert np.median(blunt) > 2 * np.median(sharp)


def test_a_known_redshift_is_used(example: QTable, model) -> None:  # type: ignore[no-untyped-def]
    outputs = ("logmstar", "ur_rest")
    true = np.asarray(example["true_logmstar"], dtype=float)
    few = example[["gSDSS", "gSDSS_err", "rSDSS", "rSDSS_err", "iSDSS", "iSDSS_err", "true_z"]]
    blind = infer(few, model=model, outputs=outputs)
    told = infer(few, model=model, outputs=outputs, context={"z": "true_z"})

    def spread(posterior) -> float:  # type: ignore[no-untyped-def]
        return float(np.median(np.abs(posterior.median("logmstar") - true)))

    assert spread(told) < spread(blind)


def test_labels_to_bandfluxes(example: QTable, model) -> None:  # type: ignore[no-untyped-def]
    labels = [c for c in example.colnames if c.startswith("true_") and c != "true_mag_rsdss"]
    context = {c.removeprefix("true_"): c for c in labels}
    result = jpassed.annotate(
        example[labels], model=model, context=context, outputs=["flux:rSDSS", "flux:J0660"]
    )
    assert str(result["jp_flux_J0660"].unit) == "uJy"
    predicted = np.log10(np.asarray(result["jp_flux_rSDSS"].value))
    true = -0.4 * (np.asarray(example["true_mag_rsdss"].value) - 23.9)
    assert np.corrcoef(predicted, true)[0, 1] > 0.7
    error = np.asarray(result["jp_flux_rSDSS_err"].value)
    assert (error > 0).all()


def test_galex_is_imputed(example: QTable, model) -> None:  # type: ignore[no-untyped-def]
    optical = example[[c for c in example.colnames if not c.startswith(("galex", "true"))]]
    posterior = infer(optical, model=model, outputs=("flux:galex_nuv", "flux:J0660"))
    nuv = np.asarray(example["galex_nuv"].value, dtype=float)
    sigma = np.asarray(example["galex_nuv_err"].value, dtype=float)
    low, middle, high = posterior.quantile("flux:galex_nuv", [0.16, 0.5, 0.84]).T
    pull = (nuv - middle) / np.hypot(sigma, 0.5 * (high - low))
    assert 0.4 < np.median(np.abs(pull)) < 1.0
    line = posterior.median("flux:J0660") / np.asarray(example["J0660"].value)
    bright = magnitude(example) < 21.5
    assert 1.4826 * np.median(np.abs(line[bright] - np.median(line[bright]))) < 0.15


@pytest.mark.real_data
def test_real_galaxies(
    real_data: Path, model, project_root: Path, monkeypatch: pytest.MonkeyPatch  # type: ignore[no-untyped-def]
) -> None:
    monkeypatch.syspath_prepend(str(project_root / "benchmarks"))
    try:
        from accuracy import noisy_draws
        from real_spectra import real_galaxy_jspectra
    finally:
        sys.modules.pop("accuracy", None)
    galaxies = real_galaxy_jspectra(real_data, magnitude=19.0)
    assert len(galaxies) == 17
    noisy, rows = noisy_draws(galaxies, 10)
    z = infer(noisy, model=model, outputs=("z",)).median("z")
    true = np.asarray(galaxies["z_spec"], dtype=float)[rows]
    assert fraction_within(z, true, 0.01) > 0.9
    assert np.median(np.abs(z - true) / (1 + true)) < 0.003
