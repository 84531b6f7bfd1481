"""Ground of every room: errors, files, randomness, latents, the terminal. No network and no engine."""
