"""Refined posteriors: draws of a network, weighted by an emulated likelihood and the prior."""

from jpassed.refinement.emulator import EmulatorNet
from jpassed.refinement.likelihood import Likelihood, PredictedBands
from jpassed.refinement.refiner import Proposal, Refined, Refiner
from jpassed.refinement.storage import Refinement, load_refinement, write_refinement

__all__ = [
    "EmulatorNet",
    "Likelihood",
    "PredictedBands",
    "Proposal",
    "Refined",
    "Refinement",
    "Refiner",
    "load_refinement",
    "write_refinement",
]
