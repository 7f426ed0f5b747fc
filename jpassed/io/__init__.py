"""Tables and spectra in, tables out."""
