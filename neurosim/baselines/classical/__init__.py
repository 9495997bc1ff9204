"""Networks and other classifiers without quantum parts."""
