"""Training: configuration, galaxies, and the loop."""
