"""Table in, annotated table out."""

from jpassed.annotation.derived import Derived, derive, load_derived
from jpassed.annotation.embedding import embed, similar
from jpassed.annotation.files import annotate_file
from jpassed.annotation.flags import FLAGS, Flag
from jpassed.annotation.inference import Predictor
from jpassed.annotation.joint import JointSampler
from jpassed.annotation.table import annotate, infer
from jpassed.annotation.task import DEFAULT_OUTPUTS

__all__ = [
    "DEFAULT_OUTPUTS",
    "FLAGS",
    "Derived",
    "Flag",
    "JointSampler",
    "Predictor",
    "annotate",
    "annotate_file",
    "derive",
    "embed",
    "infer",
    "load_derived",
    "similar",
]
