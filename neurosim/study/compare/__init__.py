"""Models beside the liquid on the same recordings, with the same search, judged together."""
