"""Training sets from the archives of spectroscopic surveys."""
