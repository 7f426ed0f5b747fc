"""Table in, annotated table out."""

from jpassed.annotation.flags import FLAGS, Flag
from jpassed.annotation.inference import Predictor
from jpassed.annotation.table import annotate, infer
from jpassed.annotation.task import DEFAULT_OUTPUTS

__all__ = ["DEFAULT_OUTPUTS", "FLAGS", "Flag", "Predictor", "annotate", "infer"]
