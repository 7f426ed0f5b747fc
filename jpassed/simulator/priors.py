"""Priors: what galaxies are made of, given their redshift, colour class and luminosity."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from torch import Tensor

from jpassed.exceptions import FileError, InputError

__all__ = ["KINDS", "PRESETS", "Randoms", "load_priors", "physical_parameters"]

FloatArray = NDArray[np.float64]

KINDS = ("quiescent", "green", "psb", "starburst", "forming")
"""Kinds of galaxies: indices of `GalaxySample.kind`."""
PRESETS = {"galaxies-v1": "priors.yaml", "galaxies-v2": "galaxies-v2.yaml"}
"""Embedded priors: files of ``data`` by name; all but the first say what differs from it."""
SECTIONS = (
    "universe", "redshift", "magnitude", "luminosity_function", "k_correction", "mass_to_light",
    "balance", "kinds", "history", "modulation", "burst", "quench", "metallicity", "gas",
    "ionisation", "dust", "photons", "agn", "line_scatter", "template_error",
)  # fmt: skip


def load_priors(source: str | Path | dict[str, Any] | None = None) -> dict[str, Any]:
    """Read the priors.

    Parameters
    ----------
    source : str, Path, dict or None
        A name of `PRESETS`; a YAML file of the form of the embedded ``priors.yaml``; a dict whose
        sections replace (key by key) those of the embedded one; None for the embedded one.

    Raises
    ------
    FileError
        The file is missing or is no YAML.
    InputError
        A section is missing or unknown.
    """
    folder = files("jpassed.simulator") / "data"
    priors: dict[str, Any] = yaml.safe_load((folder / PRESETS["galaxies-v1"]).read_text())
    if source is None:
        return priors
    if isinstance(source, str) and source in PRESETS:
        source = yaml.safe_load((folder / PRESETS[source]).read_text())
    if not isinstance(source, dict):
        try:
            source = yaml.safe_load(Path(source).expanduser().read_text())
        except (OSError, yaml.YAMLError) as error:
            raise FileError(f"the priors file {source} cannot be read: {error}") from error
        if not isinstance(source, dict):
            raise InputError("a priors file holds named sections; see priors.yaml of jpassed")
    unknown = set(source) - set(SECTIONS) - {"name"}
    if unknown:
        raise InputError(
            f"unknown sections of the priors: {sorted(unknown)}. Valid: {', '.join(SECTIONS)}"
        )
    for key, value in source.items():
        if isinstance(value, dict):
            extra = set(value) - set(priors[key])
            if extra:
                raise InputError(
                    f"unknown entries of {key!r} in the priors: {sorted(extra)}. "
                    f"Valid: {sorted(priors[key])}"
                )
            priors[key] = {**priors[key], **value}
        else:
            priors[key] = value
    return priors


class Randoms:
    """Random numbers drawn on the generator's device and handed out on another.

    Parameters
    ----------
    n : int
        How many objects.
    generator : torch.Generator or None
        Source; None uses torch's default CPU generator.
    device : torch.device or str
        Where the numbers are wanted.
    """

    def __init__(
        self, n: int, generator: torch.Generator | None, device: torch.device | str
    ) -> None:
        self.n, self.generator, self.device = n, generator, device
        self.source = generator.device if generator is not None else torch.device("cpu")

    def uniform(self, lower: float | Tensor = 0.0, upper: float | Tensor = 1.0) -> Tensor:
        """Uniform numbers (n,)."""
        u = torch.rand(self.n, generator=self.generator, device=self.source).to(self.device)
        return lower + (upper - lower) * u

    def normal(self, *columns: int) -> Tensor:
        """Standard normal numbers (n, *columns)."""
        shape = (self.n, *columns)
        return torch.randn(shape, generator=self.generator, device=self.source).to(self.device)

    def double(self) -> Tensor:
        """Uniform float64 numbers (n,), for inverse cumulative distributions."""
        u = torch.rand(self.n, generator=self.generator, device=self.source, dtype=torch.float64)
        return u.to(self.device)


def _interp(x: Tensor, knots: list[float], values: list[float]) -> Tensor:
    """Piecewise linear, constant beyond the ends."""
    k = torch.tensor(knots, dtype=x.dtype, device=x.device)
    v = torch.tensor(values, dtype=x.dtype, device=x.device)
    i = (torch.searchsorted(k, x.contiguous()) - 1).clamp(0, len(knots) - 2)
    f = ((x - k[i]) / (k[i + 1] - k[i])).clamp(0.0, 1.0)
    return v[i] + f * (v[i + 1] - v[i])


def _fold(x: Tensor, lower: float, upper: float) -> Tensor:
    """Reflect what lies beyond the limits: no label piles up on a limit."""
    x = torch.where(x > upper, 2.0 * upper - x, x)
    x = torch.where(x < lower, 2.0 * lower - x, x)
    return x.clamp(lower, upper)


def physical_parameters(
    priors: dict[str, Any],
    random: Randoms,
    z: Tensor,
    red: Tensor,
    absolute: Tensor,
    age: Tensor,
) -> dict[str, Tensor]:
    """Draw what a galaxy is made of, given its redshift, colour class and luminosity.

    Parameters
    ----------
    priors : dict
        See `load_priors`.
    random : Randoms
        Of n objects.
    z, absolute, age : Tensor (n,)
        Redshift, absolute r magnitude, age of the universe (Gyr).
    red : Tensor (n,), bool
        Drawn from the red luminosity function.

    Returns
    -------
    dict of Tensor (n,)
        ``kind`` (index in `KINDS`), ``log_mass`` (the rough mass that other priors depend on),
        ``t0, tau`` (Gyr), ``modulation`` (n, K), ``burst_share, burst_start, burst_stop`` (yr),
        ``logz``, ``gas_logz``, ``logu``, ``av``, ``av_young``, ``slope``, ``bump``,
        ``hii_share``, ``old_share``, ``agn_ew`` (0 where there is none).
    """
    out: dict[str, Tensor] = {}
    light = priors["mass_to_light"]
    ratio = torch.where(red, light["red"], light["blue"]) + light["evolution"] * z
    log_mass = 0.4 * (light["solar"] - absolute) + ratio + 0.1 * random.normal()
    out["log_mass"] = log_mass
    out["kind"] = kind = _kinds(priors, random.uniform(), red)
    forming, quiescent = kind == KINDS.index("forming"), kind == KINDS.index("quiescent")
    green, psb = kind == KINDS.index("green"), kind == KINDS.index("psb")
    starburst = kind == KINDS.index("starburst")
    high = ((log_mass - 8.0) / 3.0).clamp(0.0, 1.0)

    # --- history
    history = priors["history"]
    u, v = random.uniform(), random.uniform()
    t0, log_x = torch.zeros_like(z), torch.zeros_like(z)
    for name in KINDS:
        own = history[name]
        here = kind == KINDS.index(name)
        t0 = torch.where(here, own["t0"][0] + u * (own["t0"][1] - own["t0"][0]), t0)
        if name == "forming":
            low = np.log(own["x_low"][0]) * (1 - high) + np.log(own["x_high"][0]) * high
            top = np.log(own["x_low"][1]) * (1 - high) + np.log(own["x_high"][1]) * high
        else:
            low = torch.full_like(z, np.log(own["x"][0]))
            top = torch.full_like(z, np.log(own["x"][1]))
        log_x = torch.where(here, low + v * (top - low), log_x)
    out["t0"] = t0 * age
    low, top = (float(np.log(limit)) for limit in history["tau_limits"])
    out["tau"] = torch.exp(_fold(torch.log(out["t0"]) - log_x, low, top))
    out["modulation"] = _modulation(priors, random, psb)
    _bursts(priors, random, out, high)
    limit = out["t0"] * 1e9
    out["burst_start"] = torch.minimum(out["burst_start"], 0.95 * limit)
    out["burst_stop"] = torch.minimum(out["burst_stop"], 0.5 * out["burst_start"])

    # --- metals
    metal = priors["metallicity"]
    median = _interp(log_mass, metal["log_mass"], metal["median"])
    scatter = _interp(log_mass, metal["log_mass"], metal["scatter"])
    passive = quiescent | psb
    deviate = random.normal()
    out["logz"] = (
        np.log10(0.02) + median + scatter * deviate + torch.where(passive, metal["shift"], 0.0)
    )
    mean_shift, spread = metal["starburst_shift"]
    poor = torch.where(starburst, mean_shift + spread * random.normal(), 0.0)
    out["logz"] = _fold(out["logz"] + poor, *metal["limits"])
    gas = priors["gas"]
    oxygen = gas["z0"] - gas["gamma"] / gas["beta"] * torch.log10(
        1.0 + 10.0 ** (-gas["beta"] * (log_mass - gas["log_m0"]))
    )
    # gas and stars of one galaxy are metal-rich together
    mixed = 0.4 * deviate + 0.9 * random.normal()
    out["gas_logz"] = oxygen - 8.69 + gas["evolution"] * z + gas["scatter"] * mixed
    out["gas_logz"] = out["gas_logz"] + poor
    ion = priors["ionisation"]
    out["logu"] = ion["offset"] + ion["slope"] * out["gas_logz"] + ion["scatter"] * random.normal()

    _dust(priors, random, out, log_mass, forming | starburst, green)

    # --- photons and nuclei
    photons = priors["photons"]
    mean, spread = photons["hii"]
    out["hii_share"] = (10.0 ** (mean + spread * random.normal())).clamp(max=1.0)
    rich = (random.uniform() < photons["old_gas_share"]) | forming | green | starburst
    deviate = random.normal()
    with_gas = photons["old"][0] + photons["old"][1] * deviate
    little = photons["old_little"][0] + photons["old_little"][1] * deviate
    out["old_share"] = 10.0 ** torch.where(rich, with_gas, little).clamp(max=0.5)
    agn = priors["agn"]
    probability = _interp(log_mass, [8.5, 11.0], agn["probability"])
    active = random.uniform() < probability
    log_ew = agn["log_ew"][0] + agn["log_ew"][1] * random.normal()
    out["agn_ew"] = torch.where(active, 10.0**log_ew, 0.0)
    return out


def _kinds(priors: dict[str, Any], u: Tensor, red: Tensor) -> Tensor:
    index = torch.zeros_like(u, dtype=torch.long)
    for colour, here in (("red", red), ("blue", ~red)):
        shares = np.array([priors["kinds"][colour][name] for name in KINDS], dtype=np.float64)
        bounds = np.cumsum(shares / shares.sum())[:-1]
        own = torch.bucketize(u, torch.tensor(bounds, dtype=u.dtype, device=u.device))
        index = torch.where(here, own, index)
    return index


def _modulation(priors: dict[str, Any], random: Randoms, psb: Tensor) -> Tensor:
    """Factors of the SFR up to each knot: correlated log-normal, and quenching."""
    settings = priors["modulation"]
    knots = settings["knots"]
    rho = settings["correlation"]
    amplitude = settings["scatter"] * random.normal().abs().clamp(max=2.5)
    white = random.normal(len(knots))
    state = white[:, -1]
    pieces = [state]
    for i in range(len(knots) - 2, -1, -1):  # from the past to the present
        state = rho * state + (1.0 - rho**2) ** 0.5 * white[:, i]
        pieces.append(state)
    log_factor = amplitude[:, None] * torch.stack(pieces[::-1], dim=1)
    quench = priors["quench"]
    look_back = 10.0 ** random.uniform(*quench["look_back"])
    depth = random.uniform(*quench["depth"])
    # post-starbursts form little after their burst
    stopped = (random.uniform() < quench["probability"]) | psb
    look_back = torch.where(psb, torch.full_like(look_back, 1.6e8), look_back)
    depth = torch.where(psb, 1.0 + depth, depth)
    recent = torch.tensor(knots, device=look_back.device)[None, :] <= look_back[:, None]
    recent = recent & stopped[:, None]
    return 10.0 ** (log_factor - recent * depth[:, None])


def _bursts(priors: dict[str, Any], random: Randoms, out: dict[str, Tensor], high: Tensor) -> None:
    """Recent bursts by kind; `high` runs from 0 at 1e8 to 1 at 1e11 M_sun."""
    burst, kind = priors["burst"], out["kind"]
    u = [random.uniform() for _ in range(4)]
    share, start = torch.zeros_like(high), torch.zeros_like(high)
    probability = torch.ones_like(high)
    for name in KINDS:
        own = burst[{"green": "quiescent"}.get(name, name)]
        here = kind == KINDS.index(name)
        # strong bursts are for dwarfs
        v = u[1] ** (1.0 + high) if name in ("forming", "starburst") else u[1]
        share = torch.where(here, own["share"][0] + v * (own["share"][1] - own["share"][0]), share)
        start = torch.where(
            here, own["start"][0] + u[2] * (own["start"][1] - own["start"][0]), start
        )
        if "probability" in own:
            low, top = own["probability"]
            probability = torch.where(here, low + high * (top - low), probability)
    start = 10.0**start
    # length: log-uniform from 5 Myr to twice the time since its start; longer ones still go on
    length = 5e6 * (2.0 * start / 5e6).clamp(min=1.0) ** u[3]
    stop = (start - length).clamp(min=0.0)
    stop = torch.where(kind == KINDS.index("psb"), torch.maximum(stop, 0.4 * start), stop)
    stop = torch.where(kind == KINDS.index("starburst"), torch.zeros_like(stop), stop)
    out["burst_share"] = torch.where(u[0] < probability, 10.0**share, 0.0)
    out["burst_start"], out["burst_stop"] = start.clamp(min=5.1e6), stop


def _dust(
    priors: dict[str, Any],
    random: Randoms,
    out: dict[str, Tensor],
    log_mass: Tensor,
    forming: Tensor,
    green: Tensor,
) -> None:
    dust = priors["dust"]
    median = _interp(log_mass, dust["log_mass"], dust["median"])
    usual = median * torch.exp(dust["scatter"] * random.normal())
    dusty = random.uniform() < dust["dusty_share"]
    usual = torch.where(dusty, random.uniform(*dust["dusty"]), usual)
    little = -dust["quiescent"] * torch.log(random.uniform(1e-6, 1.0))
    av = torch.where(forming, usual, little)
    low, top = dust["green"]
    reddened = low + (top - low) * random.uniform() ** 1.7
    out["av"] = _fold(torch.where(green, reddened, av), 0.0, dust["maximum"])
    ratio = dust["young_ratio"] * torch.exp(dust["young_scatter"] * random.normal())
    floor = -dust["young_floor"] * torch.log(random.uniform(1e-6, 1.0))
    out["av_young"] = _fold(out["av"] * ratio + floor, 0.0, dust["young_maximum"])
    mean, scatter = dust["slope"]
    limit = dust["slope_limit"]
    out["slope"] = (mean + scatter * random.normal()).clamp(-limit, limit)
    bump = random.uniform(*dust["bump"])
    out["bump"] = torch.where(random.uniform() < dust["bump_share"], bump, 0.0)
