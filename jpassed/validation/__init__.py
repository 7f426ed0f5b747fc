"""What predictions are worth where the truth is known: statistics, plots, a report."""

from __future__ import annotations

__all__: list[str] = []
