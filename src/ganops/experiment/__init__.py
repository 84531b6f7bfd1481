"""Experiments: parameters become a training that is built, checked and identified, and one run of it."""
