"""Many experiments: sweeps, searches and sensitivities, on one machine or many."""
