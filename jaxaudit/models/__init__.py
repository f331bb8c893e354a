"""The networks: one Flax module file per family, pure functions of parameters and arrays."""
