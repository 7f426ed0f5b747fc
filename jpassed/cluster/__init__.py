"""Whole surveys: HATS catalogues and folders of Parquet files, on a Dask cluster."""

from __future__ import annotations

from jpassed.cluster.hats import annotate_hats
from jpassed.cluster.parquet_folder import annotate_parquet_folder

__all__ = ["annotate_hats", "annotate_parquet_folder"]
