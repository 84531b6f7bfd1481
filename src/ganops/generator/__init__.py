"""The trained generator: as a folder, as ONNX, as walks through its latents."""

from ganops.generator.artefact import DESCRIPTION as DESCRIPTION
from ganops.generator.artefact import WEIGHTS as WEIGHTS
from ganops.generator.artefact import Description as Description
from ganops.generator.artefact import Generator as Generator
from ganops.generator.artefact import generator_network as generator_network
