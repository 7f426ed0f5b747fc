"""A small random model on disk, and catalogues for it, shared by the tests of annotation."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from astropy import units as u
from astropy.table import MaskedColumn, QTable, Table

from jpassed.nn import ModelConfig, SEDModel
from jpassed.nn.checkpoint import LoadedModel, read_model, write_model
from jpassed.vocabulary import load_vocabulary

PATCH = ("J0400", "J0470", "J0540", "J0610", "J0680", "J0750", "J0820", "rSDSS")
SINGLE = ("galex_nuv", "sdss_i")
BANDS = PATCH + SINGLE

CONFIG = ModelConfig(
    patch_bands=PATCH,
    patch_width=24,
    patch_blocks=1,
    patch_tokens=2,
    width=24,
    heads=2,
    blocks=1,
    frequencies=4,
    components=3,
    redshift_bin=0.01,
)


def write_small(folder: Path, config: ModelConfig = CONFIG, **card: Any) -> Path:
    """A random model in a folder."""
    torch.manual_seed(7)
    network = SEDModel(config, load_vocabulary())
    with torch.no_grad():
        # Answers that depend clearly on what is given.
        for block in network.decoder:
            block.kv.weight.mul_(6.0)
            block.out.weight.mul_(6.0)
        if network.redshift_head is not None:
            network.redshift_head.last.weight.mul_(15.0)
    about = {"name": "small", "version": "0.3", **card}
    return write_model(folder, network.state_dict(), config, about, load_vocabulary())


@functools.cache
def small_model() -> LoadedModel:
    """The small model, read from disk once."""
    with tempfile.TemporaryDirectory() as folder:
        return read_model(write_small(Path(folder)))


def make_table(n: int = 12, seed: int = 3, bands: tuple[str, ...] = BANDS) -> QTable:
    """Bandfluxes of n objects with 3 % errors, and labels under names of their own."""
    rng = np.random.default_rng(seed)
    table = QTable({"id": np.arange(n)})
    brightness = 10 ** rng.uniform(0.8, 2.5, n)
    for band in bands:
        flux = brightness * rng.uniform(0.5, 2.0, n)
        error = 0.03 * flux + 0.1
        table[band] = flux * u.uJy
        table[f"{band}_err"] = error * u.uJy
    table["z_spec"] = rng.uniform(0.05, 0.9, n)
    table["mass"] = rng.uniform(8.5, 11.5, n)
    return table


def masked(table: Table, band: str, rows: list[int]) -> QTable:
    """The same table with a band masked in some rows."""
    out = QTable(table)
    mask = np.zeros(len(table), dtype=bool)
    mask[rows] = True
    values = np.asarray(table[band].value)
    out[band] = MaskedColumn(values, mask=mask, unit=table[band].unit)
    return out


def numbers(column: Any) -> np.ndarray:
    """Values of a column as float64, NaN where masked."""
    from jpassed.surveys.columns import numbers_and_mask

    return numbers_and_mask(column, "column")[0]


def assert_same_columns(
    one: Table, other: Table, names: list[str] | None = None, rtol: float = 1e-4
) -> None:
    """The same predictions to float32 rounding of the network, masks included."""
    wanted = names or [name for name in one.colnames if name.startswith("jp_")]
    for name in wanted:
        if name in ("jp_flag", "jp_nbands"):
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)
            continue
        first, second = numbers(one[name]), numbers(other[name])
        scale = np.nanmax(np.abs(first)) if np.isfinite(first).any() else 1.0
        np.testing.assert_allclose(first, second, rtol=rtol, atol=rtol * scale, err_msg=name)
