"""Whole surveys: HATS catalogues and folders of Parquet files, on a Dask cluster."""
