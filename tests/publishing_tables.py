"""A table with one column of every kind that can be published, and some that need care."""

from __future__ import annotations

import numpy as np
from astropy import units as u
from astropy.table import MaskedColumn, Table

N = 50


def every_kind() -> Table:
    """N rows; a third of the values masked where the name says nothing else."""
    rng = np.random.default_rng(4)
    mask = rng.random(N) < 0.3
    elements = rng.random((N, 5)) < 0.2
    elements[3] = True  # a whole row of an array
    table = Table()
    table["object_id"] = np.arange(N) * 10 + 2**40
    table["ra"] = rng.uniform(10.0, 11.0, N) * u.deg
    table["dec"] = rng.uniform(-5.0, -4.0, N) * u.deg
    table["single"] = MaskedColumn(
        rng.normal(size=N).astype("f4"), mask=mask, unit="uJy",
        description='<b> & "quotes", \\mu and 100 %', meta={"ucd": "phot.flux.density;em.opt"},
    )
    table["tiny"] = MaskedColumn(rng.normal(size=N) * 1e-300, mask=mask)
    for dtype in ("i1", "u1", "i2", "u2", "i4", "u4"):
        limits = np.iinfo(dtype)
        whole = rng.integers(limits.min, limits.max, N, dtype=dtype, endpoint=True)
        table[dtype] = MaskedColumn(whole, mask=mask)
    table["i8"] = MaskedColumn(rng.integers(-(2**62), 2**62, N), mask=mask)
    table["lowest"] = MaskedColumn(np.full(N, -(2**31), "i4"), mask=mask)  # the usual null
    table["truth"] = MaskedColumn(rng.random(N) < 0.5, mask=mask)
    table["text"] = MaskedColumn([f"α{k}" for k in range(N)], mask=mask)
    table["u-r 2"] = rng.random(N) * u.mag
    table["SIZE"] = rng.random(N).astype("f4")
    table["scale"] = rng.random(N)
    table["class"] = np.array(["a", "bc"] * (N // 2))
    table["fluxes"] = MaskedColumn(
        rng.normal(size=(N, 5)).astype("f4"), mask=elements,
        unit="1e-19 erg / (s cm2 Angstrom)",
    )
    table["counts"] = MaskedColumn(rng.integers(0, 99, (N, 5)).astype("i4"), mask=elements)
    table["flags"] = rng.integers(0, 99, (N, 5)).astype("i2")
    table["limits"] = np.where(np.arange(N) % 2, np.inf, -np.inf)
    table["undefined"] = np.where(np.arange(N) % 2, np.nan, 2.5)  # NaN without a mask
    table["pairs"] = np.column_stack([np.ones(N), table["undefined"]])
    table["mass"] = rng.random(N) * u.dex(u.solMass)
    table.meta.update(
        jp_model="default", jp_weights="abc\\def", jp_version="0.1.0",
        jp_z_pdf_edges=[0.0, 0.1, 0.25], seed=3,
        jp_query="SELECT * FROM a WHERE name = 'α' AND x > 1 -- \\alpha *a* |b|", jp_size=3.5,
        jp_none=None,
    )
    table.meta["jp_odd key"] = {"a": [1, 2]}
    return table
