"""Early warning of a training that diverges."""

from __future__ import annotations

import logging
import math
import statistics
from collections import deque
from collections.abc import Mapping
from typing import Any

from jpassed.training.config import WatchConfig

__all__ = ["Guard"]

logger = logging.getLogger(__name__)

LATEST = 50
"""Losses whose median is compared with that of the window before them."""

FEWEST = 100
"""Losses before anything is said of them."""


class Guard:
    """Watches losses and gradient norms, step by step.

    Parameters
    ----------
    config : WatchConfig

    Attributes
    ----------
    skipped : int
        Steps that were skipped so far.
    reason : str
        Why the training is held to diverge, empty as long as it is not.
    """

    def __init__(self, config: WatchConfig) -> None:
        self.config = config
        self.skipped = 0
        self.forget()

    def forget(self) -> None:
        """Begin anew, after a rollback; the count of skipped steps goes on."""
        self.losses: deque[float] = deque(maxlen=self.config.window)
        self.norms: deque[float] = deque(maxlen=self.config.window)
        self.in_a_row = 0
        self.quiet_until = 0
        self.reason = ""

    def remembered(self) -> dict[str, Any]:
        """What a checkpoint keeps, as numbers and lists of them."""
        return {
            "losses": list(self.losses), "norms": list(self.norms),
            "in_a_row": self.in_a_row, "quiet_until": self.quiet_until,
        }  # fmt: skip

    def remember(self, kept: Mapping[str, Any]) -> None:
        """Go on from what `remembered` gave; from nothing where it is empty."""
        self.forget()
        self.losses.extend(kept.get("losses", ()))
        self.norms.extend(kept.get("norms", ()))
        self.in_a_row = int(kept.get("in_a_row", 0))
        self.quiet_until = int(kept.get("quiet_until", 0))

    def usable(self, step: int, loss: float, norm: float) -> bool:
        """Whether the step may be taken; warns of what is out of the ordinary.

        False where the loss or its gradient is not finite: such a step must leave no trace.
        """
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self.skipped += 1
            self.in_a_row += 1
            logger.warning(
                "step %d skipped: loss %g, gradient norm %g (%d in a row)",
                step, loss, norm, self.in_a_row,
            )  # fmt: skip
            if self.in_a_row >= self.config.skips:
                self.reason = f"{self.in_a_row} steps in a row had no finite loss or gradient"
            return False
        self.in_a_row = 0
        if len(self.losses) >= FEWEST:
            self._compare(step, loss, norm)
        self.losses.append(loss)
        self.norms.append(norm)
        return True

    def _compare(self, step: int, loss: float, norm: float) -> None:
        middle, spread = _median_and_mad(list(self.losses))
        usual = statistics.median(self.norms)
        before = list(self.losses)[:-LATEST]
        latest = statistics.median(list(self.losses)[-LATEST:])
        was, scatter = _median_and_mad(before)
        if latest > was + self.config.drift * scatter:
            self.reason = (
                f"the loss rose from {was:.3g} to {latest:.3g} (medians) within "
                f"{len(self.losses)} steps"
            )
            return
        words = []
        if loss > middle + self.config.deviations * spread:
            words.append(f"loss {loss:.4g}, of late {middle:.4g} with a scatter of {spread:.2g}")
        if norm > self.config.norm_ratio * usual:
            words.append(f"gradient norm {norm:.4g}, of late {usual:.4g}")
        if words and step >= self.quiet_until:
            logger.warning("step %d is out of the ordinary: %s", step, "; ".join(words))
            self.quiet_until = step + LATEST


def _median_and_mad(values: list[float]) -> tuple[float, float]:
    """Median, and 1.4826 times the median absolute deviation from it."""
    middle = statistics.median(values)
    return middle, 1.4826 * statistics.median(abs(v - middle) for v in values)
