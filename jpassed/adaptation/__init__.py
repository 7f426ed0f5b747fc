"""Adapting a model to a survey: zero points, recalibration, fine-tuning."""

from __future__ import annotations

from jpassed.adaptation.calibration import Calibration, calibrate, uncalibrate
from jpassed.adaptation.zeropoint_fit import fit_zeropoints

__all__ = ["Calibration", "calibrate", "fit_zeropoints", "uncalibrate"]
