"""A search of parameters: what may be tried, what became of it, and how it is shown. It knows no engine."""
