"""Draw a solution as matplotlib figures without global state, with SI prefixes and units on every axis."""

import lazy_loader

# The names are in ``__init__.pyi``.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
