"""What a data centre needs to serve an annotated catalogue."""
