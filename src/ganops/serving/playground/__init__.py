"""A web page on the champion: draw, walk, compare and vote."""
