"""One galaxy from its labels without a redshift: draws instead of a mean. For labels_to_sed.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import simulated_sample as samples
from astropy import units as u
from astropy.table import QTable
from line_bands import line_excess
from numpy.typing import NDArray

from jpassed.annotation import infer
from jpassed.filters import load_filters

Array = NDArray[np.float64]

KNOWN = ("logmstar", "logage_l", "av", "ew_oiii", "ew_hbeta", "ew_halpha")
DRAWS = 400
NARROW = 56
OIII = 5008.2


def choose(drawn: dict[str, Array]) -> int:
    """A galaxy with strong [OIII] lines in the bands, at an ordinary redshift."""
    with np.errstate(invalid="ignore"):
        good = (drawn["ew_oiii"] > 120) & (drawn["z"] > 0.15) & (drawn["z"] < 0.35)
        good &= drawn["mag_r"] < 22.5
    found = np.flatnonzero(good)
    if len(found):
        return int(found[0])
    return int(np.nanargmax(np.where(drawn["z"] < 0.4, drawn["ew_oiii"], np.nan)))


def line_contrast(flux: Array, z: Array) -> Array:
    """How far (mag) the band at [OIII] stands above the mean of those two away, (N,)."""
    pivot = np.array([band.pivot_wavelength for band in load_filters("jpas")])[:NARROW]
    order = np.argsort(pivot)
    at = np.abs(pivot[order][None, :] - OIII * (1 + z)[:, None]).argmin(axis=1)
    at = np.clip(at, 2, NARROW - 3)
    rows = np.arange(len(flux))
    magnitude = -2.5 * np.log10(np.maximum(flux[:, :NARROW][:, order], 1e-9))
    side = 0.5 * (magnitude[rows, at - 2] + magnitude[rows, at + 2])
    return np.asarray(side - magnitude[rows, at])


def without_redshift(
    drawn: dict[str, Array], model: Any, put: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Draws of redshift from labels and one r magnitude, then every band at every draw.

    `put` adds the lines at each draw's redshift by their EW (`line_bands`).

    Returns
    -------
    figures, shown : dict
        Numbers for the page, and arrays for `draw_figure`.
    """
    row = choose(drawn)
    table = QTable({f"known_{name}": [float(drawn[name][row])] for name in KNOWN})
    r = float(drawn["flux"][row, samples.BANDS.index("rSDSS")])
    table["rSDSS"], table["rSDSS_err"] = [r] * u.uJy, [0.05 * r] * u.uJy
    context = {name: f"known_{name}" for name in KNOWN}
    wanted = tuple(f"flux:{band}" for band in samples.BANDS)
    alone = infer(table, model=model, outputs=("z", *wanted), context=context)
    z = np.sort(alone["z"].sample(DRAWS, 4)[0])
    wide = table[np.zeros(DRAWS, dtype=int)]
    wide["known_z"] = z
    given = infer(wide, model=model, outputs=wanted, context=context | {"z": "known_z"})
    sed = np.stack([given.median(name) for name in wanted], 1)
    rng = np.random.default_rng(8)
    full = np.stack([given[name].sample(1, rng)[:, 0] for name in wanted], 1)
    if put:
        widths = {n: np.full(DRAWS, drawn[n][row]) for n in KNOWN if n.startswith("ew_")}
        excess = line_excess(z, widths)
        sed, full = sed * (1 + excess), full * (1 + excess)
    mean = sed.mean(axis=0)
    low, high = np.stack([alone.quantile(n, [0.16, 0.84])[0] for n in wanted]).T
    spread = np.diff(np.quantile(full, [0.16, 0.84], axis=0), axis=0)[0]
    figures = {
        "true z": float(drawn["z"][row]),
        "labels": {name: float(drawn[name][row]) for name in KNOWN},
        "z": [float(v) for v in alone.quantile("z", [0.16, 0.5, 0.84])[0]],
        "draws": DRAWS,
        "lines put in": put,
        "draw contrast": float(np.median(line_contrast(sed, z))),
        "true contrast": float(line_contrast(drawn["flux"][row][None], drawn["z"][row][None])[0]),
        "mean contrast": float(line_contrast(np.repeat(mean[None], 200, axis=0),
                                             np.linspace(0.02, 0.7, 200)).max()),
        "alone over draws": float(np.median(((high - low) / spread)[:NARROW])),
    }  # fmt: skip
    shown = {
        "z": z, "sed": sed, "mean": mean, "low": low, "high": high, "true z": drawn["z"][row],
        "true": drawn["flux"][row], "distribution": alone["z"],
    }  # fmt: skip
    return figures, shown


def draw_figure(shown: dict[str, Any], path: Path) -> None:
    """The redshift that the labels allow, and what the galaxy may look like."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    wave = np.array([band.pivot_wavelength for band in load_filters("jpas")])[:NARROW]
    order = np.argsort(wave)
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 4), layout="constrained", width_ratios=(1, 2.4)
    )
    grid = np.linspace(0.0, 1.2, 601)
    left.plot(grid, shown["distribution"].pdf(grid[None, :])[0], "k-", lw=1)
    left.axvline(shown["true z"], color="0.5", ls=":", label="true redshift")
    picks = np.linspace(0.06, 0.94, 5)
    colours = plt.get_cmap("viridis")(np.linspace(0.05, 0.9, len(picks)))
    right.fill_between(
        wave[order], shown["low"][:NARROW][order], shown["high"][:NARROW][order],
        color="0.85", label="16-84 % of each band alone",
    )  # fmt: skip
    right.plot(wave[order], shown["mean"][:NARROW][order], color="0.3", lw=2, ls="--",
               label="mean of all draws", zorder=3)  # fmt: skip
    right.plot(wave[order], shown["true"][:NARROW][order], "k.", ms=4, label="the galaxy itself")
    for pick, colour in zip(picks, colours, strict=True):
        row = int(pick * len(shown["z"]))
        z = shown["z"][row]
        left.axvline(z, color=colour, lw=1.5)
        right.plot(wave[order], shown["sed"][row][:NARROW][order], color=colour, lw=1.2,
                   label=f"draw, z = {z:.2f}")  # fmt: skip
    left.set(xlabel="redshift from the labels and r", ylabel="posterior density", xlim=(0, 1.2))
    left.legend(frameon=False, fontsize=8)
    right.set(xlabel="wavelength, Å", ylabel="bandflux, microjansky")
    right.legend(frameon=False, fontsize=8, ncols=2)
    figure.savefig(path, dpi=110)
    plt.close(figure)
