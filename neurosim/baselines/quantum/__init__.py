"""Hybrids of a network and a simulated quantum circuit."""
