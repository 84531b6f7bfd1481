"""The champion behind HTTP, and the playground."""

import ganops.distributed  # noqa: F401  # Ray's switches are set there, before its first import
