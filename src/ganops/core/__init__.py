"""What every room may use: errors, files, randomness, latents, the terminal. No network and no engine."""
