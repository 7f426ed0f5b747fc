"""Tables from and to the desktop tools on a SAMP hub."""
