"""What predictions are worth where the truth is known: statistics, plots, a report."""

from __future__ import annotations

from jpassed.validation.assessment import Evaluation, evaluate
from jpassed.validation.ensembles import qp_ensemble

__all__ = ["Evaluation", "evaluate", "qp_ensemble"]
