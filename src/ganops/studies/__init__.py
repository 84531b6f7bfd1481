"""Published comparisons, and one experiment under several seeds."""
