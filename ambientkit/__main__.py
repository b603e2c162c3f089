"""`python -m ambientkit`."""

from ambientkit.cli import main

if __name__ == "__main__":
    main(prog_name="ambientkit")
