"""What is true: the kernel theory in SymPy. Free energies, stationarity, critical points, exact branches."""
