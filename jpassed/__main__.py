"""``python -m jpassed`` is the command ``jpassed``."""

from jpassed.cli import main

if __name__ == "__main__":
    main(prog_name="jpassed")
