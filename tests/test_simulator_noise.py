"""The torch noise model is the twin of the error model of the sky rail."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jpassed.exceptions import InputError
from jpassed.jspectrum.error_model import load_noise
from jpassed.simulator.noise import NoiseModel

PRESETS = ("minijpas-v1", "minijpas-v1+galex-ais", "galex-dis", "broadband-v1")


@pytest.mark.parametrize("preset", PRESETS)
def test_both_rails_add_the_same_noise(preset):
    model = load_noise(preset)
    n, b = 200, len(model.bands)
    rng = np.random.default_rng(3)
    flux = 10 ** rng.uniform(-2, 5, (n, b))
    flux[0] = 0.0
    flux[1, 0] = np.nan
    draws = {
        "normals": rng.normal(size=(n, b)),
        "zp_normals": rng.normal(size=(n, b)),
        "depth_normals": rng.normal(size=(n, b)),
        "size_normals": rng.normal(size=n),
    }
    tile = rng.integers(model.n_tiles, size=n)
    noisy, err = model.apply(flux, tile=tile, **draws)
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 2e-3)):
        twin = NoiseModel(model.arrays(), dtype=dtype)
        own, own_err = twin.apply(
            torch.tensor(flux, dtype=dtype),
            tile=torch.tensor(tile),
            **{k: torch.tensor(v, dtype=dtype) for k, v in draws.items()},
        )
        # differences in units of the error: float32 rounds bright fluxes
        known = np.isfinite(noisy)
        assert np.array_equal(known, torch.isfinite(own).numpy()) and not known[1, 0]
        assert np.max(np.abs(own.numpy() - noisy)[known] / err[known]) < tolerance
        assert np.allclose(own_err.numpy()[known], err[known], rtol=max(tolerance / 10, 1e-9))


def test_sigma_and_select():
    model = load_noise("minijpas-v1")
    twin = NoiseModel(model.arrays(), dtype=torch.float64)
    flux = np.full((3, len(model.bands)), 5.0)
    tile = torch.tensor([0, 1, 2])
    expected = model.sigma(flux, tile.numpy())
    assert np.allclose(twin.sigma(torch.tensor(flux), tile).numpy(), expected, rtol=1e-9)
    chosen = [4, 0, model.bands.index("rSDSS")]
    reference = torch.full((3,), 5.0).double()
    part = twin.select(chosen).sigma(torch.tensor(flux[:, :3]), tile, reference=reference)
    assert np.allclose(
        part.numpy(), model.sigma(flux, tile.numpy(), reference=np.full(3, 5.0))[:, chosen]
    )


def test_generator_draws_what_is_missing():
    twin = NoiseModel(load_noise("minijpas-v1").arrays())
    flux = torch.full((4000, twin.n_bands), 100.0)
    first = twin.apply(flux, torch.Generator().manual_seed(1))
    again = twin.apply(flux, torch.Generator().manual_seed(1))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    pull = (first[0] - flux) / first[1]
    # the zero-point scatter is not in the error: pulls are wider than 1 for bright galaxies
    assert 1.0 < float(pull.std()) < 3.0
    assert (first[1] > 0).all()


def test_messages():
    model = load_noise("minijpas-v1")
    arrays = model.arrays()
    with pytest.raises(InputError, match="lack .*poisson"):
        NoiseModel({k: v for k, v in arrays.items() if k != "poisson"})
    with pytest.raises(InputError, match=r"floor must have shape"):
        NoiseModel({**arrays, "floor": np.zeros(3)})
    twin = NoiseModel(arrays)
    with pytest.raises(InputError, match=r"flux must have shape"):
        twin.apply(torch.ones(2, 3), torch.Generator())
    with pytest.raises(InputError, match="needs a generator"):
        twin.apply(torch.ones(2, twin.n_bands))
