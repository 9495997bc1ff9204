"""Baselines beside the liquid, all under one contract."""
