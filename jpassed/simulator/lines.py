"""Nebular emission: line luminosities per ionising photon, and the nebular continuum."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jpassed.exceptions import FileError, InputError

__all__ = ["LABEL_LINES", "LineModel", "nebular_continuum", "read_line_table"]

FloatArray = NDArray[np.float64]

LABEL_LINES: dict[str, tuple[str, ...]] = {
    "ew_oii": ("OII_3727", "OII_3730"),
    "ew_hbeta": ("Hbeta",),
    "ew_oiii": ("OIII_5008",),
    "ew_halpha": ("Halpha",),
    "ew_nii": ("NII_6585",),
    "ew_sii": ("SII_6718", "SII_6733"),
}
"""The lines summed in each equivalent width (design, section 2)."""

HBETA_PER_PHOTON = 4.78e-13 / 3.828e33 * 1e46
"""L(Hbeta) in L_sun per 1e46 ionising photons/s, case B at 1e4 K (Osterbrock & Ferland 2006)."""

# log10 of the ratio = sum_i c_i x^i, x = 12+log(O/H) - 8.69 (Curti et al. 2020, Table 2).
CURTI: dict[str, tuple[float, ...]] = {
    "r2": (0.435, -1.362, -5.655, -4.851, -0.478, 0.736),
    "r3": (-0.277, -3.549, -3.593, -0.981),
    "n2": (-0.489, 1.513, -2.554, -5.293, -2.867),
    "s2": (-0.442, -0.360, -6.271, -8.339, -3.559),
}
LOG_HALPHA_HBETA = 0.456


@dataclass(frozen=True)
class LineTable:
    """CloudyFSPS luminosities of the lines of `lines.csv`, mean over the ages 1-4 Myr.

    Parameters
    ----------
    logz : ndarray (Z,)
        log10(Z / Z_sun) of gas and stars.
    logu : ndarray (U,)
        log10 of the ionisation parameter.
    luminosity : ndarray (Z, U, L)
        log10(L_sun per 1e46 ionising photons/s); -9 where a line is absent.
    source : str
        The file.
    """

    logz: FloatArray
    logu: FloatArray
    luminosity: FloatArray
    source: str


def _catalogue() -> dict[str, list[str]]:
    resource = files("jpassed.simulator") / "data" / "lines.csv"
    rows = [r.split(",") for r in resource.read_text().splitlines() if r and r[0] != "#"]
    return {name: [row[i] for row in rows[1:]] for i, name in enumerate(rows[0])}


def read_line_table(path: str | Path) -> LineTable:
    """Read a CloudyFSPS ``.lines`` file (Byler et al. 2017, ApJ 840, 44).

    Parameters
    ----------
    path : str or Path
        A comment line with the numbers of logZ, Age and logU, a line of vacuum wavelengths, then
        for each model a line ``logZ age logU n`` and a line of L_sun per photon/s.

    Returns
    -------
    LineTable

    Raises
    ------
    FileError
        Missing, or not of this form.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise FileError(
            f"no line table at {path}. Name a CloudyFSPS file such as ZAU_ND_mist.lines, "
            "or leave lines=None for the embedded relations."
        )
    try:
        rows = path.read_text().splitlines()
        # float64: about 1e-46 L_sun per photon underflows float32
        wave = np.array(rows[1].split(), dtype=np.float64)
        grid = np.array([r.split()[:3] for r in rows[2::2] if r.strip()], dtype=np.float64)
        values = np.array([r.split()[: wave.size] for r in rows[3::2] if r.strip()], dtype=float)
        if len(grid) != len(values) or values.ndim != 2:
            raise ValueError(f"{len(grid)} models but {len(values)} rows of luminosities")
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise FileError(f"{path} is no CloudyFSPS line table: {error}") from error
    names = _catalogue()
    own = np.array(names["wave"], dtype=np.float64)
    nearest = np.abs(wave[None, :] - own[:, None]).argmin(axis=1)
    present = np.abs(wave[nearest] - own) < 1.5
    logz, logu = np.unique(grid[:, 0]), np.unique(grid[:, 2])
    young = (grid[:, 1] >= 0.9e6) & (grid[:, 1] <= 4.1e6)
    table = np.zeros((logz.size, logu.size, own.size))
    for i, z in enumerate(logz):
        for j, u in enumerate(logu):
            model = young & (grid[:, 0] == z) & (grid[:, 2] == u)
            if not model.any():
                raise FileError(f"{path} has no model of 1-4 Myr at logZ {z}, logU {u}")
            table[i, j] = values[model].mean(axis=0)[nearest] * 1e46
    luminosity = np.log10(np.clip(np.where(present, table, 0.0), 1e-9, None))
    return LineTable(logz, logu, luminosity, str(path))


class LineModel:
    """Line luminosities of H II regions, of gas ionised by old stars, and of active nuclei.

    Parameters
    ----------
    table : str, Path or None
        CloudyFSPS file, or None for the embedded strong-line relations.
    device : str
        Where the tensors live.
    """

    def __init__(self, table: str | Path | None = None, device: str = "cpu") -> None:
        columns = _catalogue()
        self.names = tuple(columns["name"])
        self.wave = np.array(columns["wave"], dtype=np.float64)
        self.groups = tuple(dict.fromkeys(columns["group"]))
        self.device = device
        self._relation = columns["relation"]
        self._offset = self._tensor(np.array(columns["offset"], dtype=np.float64))
        self._lier = self._tensor(np.array(columns["lier"], dtype=np.float64))
        self._agn = self._tensor(np.array(columns["agn"], dtype=np.float64))
        self._group = torch.tensor([self.groups.index(g) for g in columns["group"]], device=device)
        unknown = set(self._relation) - set(CURTI) - {"hb"}
        if unknown:
            raise InputError(f"lines.csv names unknown relations {sorted(unknown)}")
        self.table = None if table is None else read_line_table(table)
        if self.table is not None:
            self._grid = self._tensor(self.table.luminosity)
            self._logz = self._tensor(self.table.logz)
            self._logu = self._tensor(self.table.logu)

    def _tensor(self, values: FloatArray) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self.device)

    def index(self, name: str) -> int:
        """Position of a line in `names`."""
        return self.names.index(name)

    def hii(self, log_z: Tensor, log_u: Tensor, excitation: Tensor) -> Tensor:
        """L_sun per 1e46 ionising photons/s of every line, (N, L).

        Parameters
        ----------
        log_z, log_u : Tensor (N,)
            log10 of the gas metallicity over solar, and of the ionisation parameter (the second
            only matters with a table).
        excitation : Tensor (N,)
            Standard normal deviate: at one metallicity [OIII] rises as [OII], [NII] and [SII]
            fall (only without a table, where it stands for the ionisation parameter).
        """
        relations = self._relations(log_z, excitation)
        if self.table is None:
            return relations
        table = self._from_table(log_z, log_u)
        return torch.where(table > 1e-8, table, relations)

    def _relations(self, log_z: Tensor, excitation: Tensor) -> Tensor:
        x = log_z.clamp(-1.1, 0.25)
        zero = torch.zeros_like(x)
        logs = {"hb": zero}
        for name, coefficients in CURTI.items():
            value = zero
            for c in reversed(coefficients):
                value = value * x + c
            logs[name] = value
        logs["n2"] = logs["n2"] + LOG_HALPHA_HBETA - 0.06 * excitation
        logs["s2"] = logs["s2"] + LOG_HALPHA_HBETA - 0.06 * excitation
        logs["r3"] = logs["r3"] + 0.14 * excitation
        logs["r2"] = logs["r2"] - 0.06 * excitation
        stacked = torch.stack([logs[r] for r in self._relation], dim=1)
        return HBETA_PER_PHOTON * 10.0 ** (stacked + self._offset)

    def _from_table(self, log_z: Tensor, log_u: Tensor) -> Tensor:
        i, f = _bracket(self._logz, log_z)
        j, g = _bracket(self._logu, log_u)
        grid = self._grid
        low = grid[i, j] * (1 - g) + grid[i, j + 1] * g
        high = grid[i + 1, j] * (1 - g) + grid[i + 1, j + 1] * g
        return 10.0 ** (low * (1 - f) + high * f)

    def lier(self) -> Tensor:
        """L_sun per 1e46 photons/s in gas ionised by old stars, (L,)."""
        return HBETA_PER_PHOTON * 10.0**self._lier

    def agn_over_halpha(self) -> Tensor:
        """Luminosity of every line over Halpha in a Seyfert 2, (L,)."""
        return 10.0 ** (self._agn - self._agn[self.index("Halpha")])

    def scatter(self, deviates: Tensor) -> Tensor:
        """Spread the deviates (N, groups) of the groups over their lines, (N, L)."""
        return deviates[:, self._group]


def _bracket(grid: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.clamp(grid[0], grid[-1]).contiguous()
    i = (torch.searchsorted(grid, x) - 1).clamp(0, len(grid) - 2)
    f = (x - grid[i]) / (grid[i + 1] - grid[i])
    return i, f[:, None]


def nebular_continuum(wave: FloatArray, temperature: float = 1e4) -> FloatArray:
    """L_lambda of the nebular continuum over L(Hbeta), per Å.

    Hydrogen free-bound (hydrogenic, Gaunt factor 0.9), free-free (1.1) and two-photon continua
    (Osterbrock & Ferland 2006, sect. 4.3; two-photon shape: Nussbaumer & Schmutz 1984, A&A 138,
    495), with 10 % of singly ionised helium emitting like hydrogen. Good to 20 %, which is
    1 % of the light of all but the youngest galaxies.
    """
    wave = np.asarray(wave, dtype=np.float64)
    nu = 2.99792458e18 / wave
    h_over_k, ryd = 4.799243e-11, 3.28805e15
    free = 6.84e-38 * temperature**-0.5
    x1 = h_over_k * ryd / temperature
    total = 1.1 * free * np.exp(-h_over_k * nu / temperature)
    for n in range(2, 40):
        edge = ryd / n**2
        rate = 2.0 * x1 / n**3 * np.exp(-h_over_k * (nu - edge) / temperature)
        total += np.where(nu >= edge, 0.9 * free * rate, 0.0)
    total *= 1.1
    nu_alpha = 2.99792458e18 / 1215.67
    y = np.clip(nu / nu_alpha, 0.0, 1.0)
    w = y * (1.0 - y)
    shape = 202.0 * (w * (1.0 - (4.0 * w) ** 0.8) + 0.88 * w**1.53 * (4.0 * w) ** 0.8)
    total += 0.838e-13 * 6.62607e-27 * y * shape / 8.2249
    total = np.where(wave < 912.0, 0.0, total)
    return total * nu / wave / 1.235e-25
