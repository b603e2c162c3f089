"""How fast ambientkit trains, beside other loops and the machine's peaks: `python -m benchmarks.training`."""
