"""From parameters to a training: what is built, checked and identified, and one run."""
