"""What is computed: lowering, saddle solvers, predictors, and the simulator (numerics.sampling)."""
