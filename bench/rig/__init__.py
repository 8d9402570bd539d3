"""What `run`, `plot` and `instructions` are made of."""
