"""Whole surveys: HATS catalogues and folders of Parquet files, on a Dask cluster."""

from __future__ import annotations

from jpassed.cluster.hats import annotate_hats
from jpassed.cluster.parquet_folder import annotate_parquet_folder
from jpassed.cluster.planning import ObjectCost, SurveyPlan, measure_cost, plan_survey

__all__ = [
    "ObjectCost",
    "SurveyPlan",
    "annotate_hats",
    "annotate_parquet_folder",
    "measure_cost",
    "plan_survey",
]
