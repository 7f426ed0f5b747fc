"""The network: a transformer over context tokens, requests decoded by cross-attention."""

from jpassed.nn.config import ModelConfig
from jpassed.nn.model import Encoded, Observed, Prediction, Questions, SEDModel

__all__ = ["Encoded", "ModelConfig", "Observed", "Prediction", "Questions", "SEDModel"]
