"""How fast are requests simulated?  `python -m benchmarks.traffic.speed --json FILE`."""
