"""Adapting a model to a survey: zero points, recalibration, fine-tuning."""

from __future__ import annotations

__all__: list[str] = []
