"""Posterior distributions and the columns they become."""

from __future__ import annotations

from jpassed.posteriors.binned import Binned
from jpassed.posteriors.calibration import Recalibrated, Recalibration
from jpassed.posteriors.distribution import Distribution
from jpassed.posteriors.flow import SplineFlow
from jpassed.posteriors.joint import JointSamples, JointSource
from jpassed.posteriors.mixture import Gaussian, GaussianMixture
from jpassed.posteriors.posterior import Posterior
from jpassed.posteriors.student_t import StudentT
from jpassed.posteriors.transforms import Transform

__all__ = [
    "Binned",
    "Distribution",
    "Gaussian",
    "GaussianMixture",
    "JointSamples",
    "JointSource",
    "Posterior",
    "Recalibrated",
    "Recalibration",
    "SplineFlow",
    "StudentT",
    "Transform",
]
