"""The verdict on a generator: validation, test metrics, comparison and the gate."""
