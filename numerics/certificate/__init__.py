"""Proofs in ball arithmetic that stationary kernels exist, are unique nearby, and minima or not."""
