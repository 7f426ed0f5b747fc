"""Adapting a model to a survey: zero points, recalibration, fine-tuning."""

from __future__ import annotations

from jpassed.adaptation.calibration import Calibration, calibrate, uncalibrate

__all__ = ["Calibration", "calibrate", "uncalibrate"]
