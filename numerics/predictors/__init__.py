"""What follows from a solved kernel: predictions, losses, coherence, W's outliers, fluctuations at finite width."""
