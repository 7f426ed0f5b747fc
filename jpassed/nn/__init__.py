"""The network: a transformer over context tokens, requests decoded by cross-attention."""

from jpassed.nn.config import ModelConfig
from jpassed.nn.model import Prediction, SEDModel

__all__ = ["ModelConfig", "Prediction", "SEDModel"]
