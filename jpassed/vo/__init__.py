"""The Virtual Observatory: services by name, queries, cross-matches."""
