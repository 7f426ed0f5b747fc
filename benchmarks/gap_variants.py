"""What may set simulated galaxies apart from real ones, each cause changed alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from gap_library import Variant

from jpassed.simulator.priors import load_priors

AB = {
    "as read": (-0.04, 0.0, 0.0, 0.0, 0.02),
    "kcorrect": (-0.036, 0.012, 0.010, 0.028, 0.040),
    "Holtzman": (-0.037, 0.024, 0.005, 0.018, 0.016),
}
"""What brings SDSS magnitudes to AB: the SDSS's own pages (DR8 and later); `sdss_ab_correct` of
kcorrect (Blanton & Roweis 2007, AJ 133, 734); Holtzman et al. 2008, AJ 136, 2306."""

MODES = {
    "alpha": {
        "quiescent": [0.0, 0.5], "green": [0.0, 0.5], "psb": [0.0, 0.5],
        "starburst": [0.0, 0.4], "forming": [0.0, 0.4],
    },
    "sodium": {
        "quiescent": [0.4, 0.5], "green": [0.4, 0.6], "psb": [0.3, 0.6],
        "starburst": [0.0, 0.4], "forming": [0.1, 0.5],
    },
}  # fmt: skip


@dataclass(frozen=True)
class Trial:
    """A cause, how it is changed, and in what: simulator, zero points or aperture."""

    cause: str
    name: str
    variant: Variant = Variant()
    offsets: str = "as read"
    aperture: str = "MODELFLUX"


def smooth(rms: float) -> dict[str, Any]:
    """Template error scaled from the trained one."""
    return {
        "template_error": {
            "short": {"length": 0.025, "rms": max(0.010 * rms, 1e-6)},
            "long": {"length": 0.20, "rms": max(0.020 * rms, 1e-6)},
        }
    }


def one(cause: str, name: str, **priors: Any) -> Trial:
    """A change of the priors alone."""
    return Trial(cause, name, Variant(priors=priors))


LITTLE_DUST = {
    "median": [0.1, 0.2, 0.3, 0.35, 0.35], "green": [0.0, 1.0], "dusty_share": 0.02,
    "scatter": 0.6,
}  # fmt: skip
ORDERLY = {
    "red": {"quiescent": 0.85, "green": 0.08, "psb": 0.02, "starburst": 0.0, "forming": 0.05},
    "blue": {"quiescent": 0.02, "green": 0.08, "psb": 0.02, "starburst": 0.04, "forming": 0.84},
}
NO_FROSTING = {"probability": [0.0, 0.0], "share": [-4.0, -2.0], "start": [7.5, 9.2]}

ALONE = (
    Trial("as trained", "0.3 BC03, 0.7 E-MILES, galaxies-v1"),
    Trial("SSP library", "BC03 alone", Variant(shares=(1.0, 0.0))),
    Trial("SSP library", "E-MILES alone", Variant(shares=(0.0, 1.0))),
    Trial("calibration", "AB offsets of kcorrect", offsets="kcorrect"),
    Trial("calibration", "AB offsets of Holtzman et al.", offsets="Holtzman"),
    Trial("aperture", "Petrosian instead of model fluxes", aperture="PETROFLUX"),
    one("dust curve", "no 2175 Å bump", dust={"bump_share": 0.0}),
    one("dust curve", "steeper by 0.3", dust={"slope": [-0.4, 0.25]}),
    one("dust curve", "twice the dust in quiescent galaxies", dust={"quiescent": 0.2}),
    one("lines", "scatter of all ratios doubled", line_scatter={
        "hii": 0.2, "old": 0.36, "agn": 0.4}),
    one("lines", "half the photons", photons={"hii": [-0.42, 0.13], "old": [-0.45, 0.35]}),
    one("template error", "none", **smooth(0.0)),
    one("template error", "doubled", **smooth(2.0)),
    one("abundances", "no alpha enhancement", template_error={"modes": MODES}),
    one("histories", "no frosting", burst={"quiescent": NO_FROSTING}),
    one("histories", "quiescent earlier and faster", history={
        "quiescent": {"t0": [0.5, 1.0], "x": [7.0, 30.0]}}),
    one("population", "half the dust in forming galaxies", dust=LITTLE_DUST),
    one("population", "... and fewer green, dusty and bursting ones", dust=LITTLE_DUST,
        kinds=ORDERLY),
    one("metallicity", "quiescent -0.13 dex", metallicity={"shift": -0.05}),
)  # fmt: skip

BETTER = Variant(shares=(0.1, 0.9))
SECOND = replace(BETTER, priors="galaxies-v2")
OLD = {
    "quiescent": [1.0, 0.5], "green": [1.0, 0.6], "psb": [0.6, 0.6], "starburst": [0.0, 0.4],
    "forming": [0.3, 0.5],
}  # fmt: skip


def with_curve() -> Variant:
    """galaxies-v2 with the curve fitted to broad bands, mode ``old`` of abundance_modes.csv."""
    own = load_priors("galaxies-v2")
    modes = {**own["template_error"]["modes"], "old": OLD}
    keep = {key: own[key] for key in ("history", "metallicity")}
    return replace(BETTER, priors={**keep, "template_error": {"modes": modes}})


CLOSED = (
    ALONE[0],
    replace(ALONE[0], cause="", name="... AB offsets of Holtzman et al.", offsets="Holtzman"),
    Trial("", "... and 0.1 BC03, 0.9 E-MILES", BETTER, "Holtzman"),
    Trial("", "... and galaxies-v2", SECOND, "Holtzman"),
    Trial("", "... and a fitted curve for old stars", with_curve(), "Holtzman"),
    Trial("", "galaxies-v2, offsets as read", SECOND),
)

NEAR_BROWN = (0.09, 0.11)
NARROW = (
    ("as trained", Variant()),
    ("BC03 alone", Variant(shares=(1.0, 0.0))),
    ("E-MILES alone", Variant(shares=(0.0, 1.0))),
    ("0.1 BC03, 0.9 E-MILES", BETTER),
    ("galaxies-v2, 0.1 and 0.9", SECOND),
    ("... and the fitted curve", with_curve()),
    ("no template error", Variant(priors=smooth(0.0))),
    ("template error doubled", Variant(priors=smooth(2.0))),
    ("line ratios: scatter doubled", ALONE[9].variant),
)
