"""The pipeline as a job on a Ray cluster: checked, sent, followed and brought home."""

import ganops.distributed  # noqa: F401  # Ray's switches are set there, before its first import
