"""What proofs and benchmarks stand on: a throw-away stack with real servers, the command line, the report."""
