"""Surveys: which column of a table is which band, one YAML file a survey."""

from jpassed.surveys.extinction import extinction_coefficient
from jpassed.surveys.identification import Identification, identify
from jpassed.surveys.labels import LabelColumn, read_labels
from jpassed.surveys.notes import column_notes
from jpassed.surveys.photometry import Photometry
from jpassed.surveys.survey import (
    Survey,
    detect_survey,
    list_surveys,
    load_survey,
    read_photometry,
)

__all__ = [
    "Identification",
    "LabelColumn",
    "Photometry",
    "Survey",
    "column_notes",
    "detect_survey",
    "extinction_coefficient",
    "identify",
    "list_surveys",
    "load_survey",
    "read_labels",
    "read_photometry",
]
