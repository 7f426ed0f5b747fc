"""Adapting a model to a survey: zero points, recalibration, fine-tuning."""

from __future__ import annotations

from jpassed.adaptation.calibration import Calibration, calibrate, uncalibrate
from jpassed.adaptation.finetune_card import Finetuned
from jpassed.adaptation.finetuning import finetune
from jpassed.adaptation.kind_descriptions import KindDescription, read_kinds
from jpassed.adaptation.settings import FinetuneSettings
from jpassed.adaptation.zeropoint_fit import fit_zeropoints

__all__ = [
    "Calibration",
    "FinetuneSettings",
    "Finetuned",
    "KindDescription",
    "calibrate",
    "finetune",
    "fit_zeropoints",
    "read_kinds",
    "uncalibrate",
]
