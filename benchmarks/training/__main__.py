"""`python -m benchmarks.training`, from the checkout."""

from .run import main

main()
