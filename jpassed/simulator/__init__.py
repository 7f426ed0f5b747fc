"""Simulated galaxies: SSPs, histories, dust, lines and priors to bandfluxes and labels.

Batched torch; no astropy. See `GalaxySimulator`.
"""

from __future__ import annotations

from jpassed.simulator.galaxies import LABELS, GalaxySample, GalaxySimulator
from jpassed.simulator.ssp import SSPGrid, read_ssp

__all__ = ["LABELS", "GalaxySample", "GalaxySimulator", "SSPGrid", "read_ssp"]
