"""Differentiable micromagnetic tomography: the magnetization of every grain in a slice of rock, and its uncertainty."""

import lazy_loader

# The names are in ``__init__.pyi``.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = "0.1.0"
