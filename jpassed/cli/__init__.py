"""The command line: one thin file a command, each loaded when it is asked for."""

from jpassed.cli.application import main

__all__ = ["main"]
