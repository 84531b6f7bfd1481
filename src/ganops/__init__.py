"""ganops trains GANs as a reproducible, distributed pipeline."""
