"""Which galaxies there are: redshift, magnitude and colour class from luminosity functions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jpassed.exceptions import InputError
from jpassed.simulator.cosmology import FlatUniverse

__all__ = ["PopulationTable"]

FloatArray = NDArray[np.float64]


class PopulationTable:
    """Joint density of redshift, r magnitude and colour class, from luminosity functions.

    Parameters
    ----------
    priors : dict
        See `load_priors`.
    r_limit : float
        Faintest true r magnitude (AB).
    balance : float
        Strength of the balancing of section ``balance``: 0 draws the natural density, 1 the
        flattened one.

    Attributes
    ----------
    natural, log_weight : ndarray (2, Z, M) and (Z, M)
        Natural density (sum 1), blue before red, and ln of the drawn over the natural density.
    cumulative : ndarray
        Cumulative drawn density over the flattened cells.
    per_square_degree : float
        Galaxies on a square degree of sky.
    """

    def __init__(self, priors: dict[str, Any], r_limit: float, balance: float) -> None:
        self.universe = FlatUniverse(**priors["universe"])
        lower, upper = float(priors["redshift"]["lower"]), float(priors["redshift"]["upper"])
        bright = float(priors["magnitude"]["bright"])
        if not bright < r_limit:
            raise InputError(f"r_limit must be fainter than {bright}, not {r_limit}")
        # Edges dense at low redshift: uniform in z**(1/3).
        self.z_edges = np.linspace(lower ** (1 / 3), upper ** (1 / 3), 321) ** 3
        self.m_edges = np.linspace(bright, r_limit, int(round((r_limit - bright) / 0.05)) + 1)
        z = 0.5 * (self.z_edges[1:] + self.z_edges[:-1])[:, None]
        m = 0.5 * (self.m_edges[1:] + self.m_edges[:-1])[None, :]
        modulus = self.universe.distance_modulus(z)
        volume = self.universe.volume_element(z) * np.diff(self.z_edges)[:, None]
        density = []
        for colour in ("blue", "red"):
            a, b = priors["k_correction"][colour]
            absolute = m - modulus - a * z - b * z**2
            phi = _schechter(absolute, z, priors["luminosity_function"][colour])
            limits = priors["magnitude"]
            phi = np.where(absolute > limits["faintest_absolute"], 0.0, phi)
            phi = np.where(absolute < limits["brightest_absolute"], 0.0, phi)
            density.append(phi * volume)
        natural = np.stack(density)  # (2, Z, M)
        per_magnitude = 0.4 * np.log(10.0) * np.diff(self.m_edges)
        self.per_square_degree = float((natural * per_magnitude).sum() * (np.pi / 180.0) ** 2)
        natural /= natural.sum()
        weight = _balance(natural, self.z_edges, priors["balance"], balance)
        drawn = natural * weight
        drawn /= drawn.sum()
        self.log_weight = np.log(weight / (natural * weight).sum())
        self.natural = natural
        self.cumulative = np.cumsum(drawn.ravel())
        self.cumulative /= self.cumulative[-1]


def _schechter(absolute: FloatArray, z: FloatArray, values: dict[str, float]) -> FloatArray:
    m_star = values["m_star"] - values["q"] * (z - 0.1)
    x = 10.0 ** (0.4 * (m_star - absolute))
    scale = float(values["phi_star"]) * 10.0 ** (0.4 * values["p"] * z)
    shape = x ** (values["alpha"] + 1.0)
    if "dwarf_share" in values:
        shape = shape + values["dwarf_share"] * x ** (values["dwarf_alpha"] + 1.0)
    return scale * shape * np.exp(-x)


def _balance(
    natural: FloatArray, z_edges: FloatArray, settings: dict[str, float], strength: float
) -> FloatArray:
    """Weight of each (z, m) cell: the same for both colours, clipped to `range`."""
    per_m = natural.sum(axis=(0, 1))
    weight_m = np.maximum(per_m, per_m.max() * 1e-12) ** (-settings["magnitude"] * strength)
    per_z = (natural * weight_m).sum(axis=(0, 2)) / np.diff(np.log1p(z_edges))
    weight_z = np.maximum(per_z, per_z.max() * 1e-12) ** (-settings["redshift"] * strength)
    weight = weight_z[:, None] * weight_m[None, :]
    return np.minimum(weight, weight.min() * settings["range"])
