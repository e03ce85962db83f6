"""Libraries that are imported when they are first used, because they take long or come with an extra of mmtjax."""

import importlib
import importlib.util
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mmtjax.errors import MissingPackageError


class LazyModule(ModuleType):
    """A module that is imported when one of its attributes is first used.

    Parameters
    ----------
    name
        Name of the module.
    extra
        The extra of mmtjax that installs it; None for what every installation has.

    Raises
    ------
    ImportError
        At the first use, if the module is not installed; the message has the line that installs it.

    Examples
    --------
    >>> LazyModule("fractions").Fraction(1, 2)
    Fraction(1, 2)
    >>> LazyModule("no_such_module", extra="study").anything
    Traceback (most recent call last):
    mmtjax.errors.MissingPackageError: this needs the package no_such_module; type: pip install 'mmtjax[study]'
    """

    def __init__(self, name: str, *, extra: str | None = None) -> None:
        super().__init__(name)
        self._extra = extra

    def __getattr__(self, attribute: str) -> Any:
        """Import the module and return one of its attributes."""
        try:
            module = importlib.import_module(self.__name__)
        except ModuleNotFoundError as error:
            if self._extra is None:
                raise
            msg = f"this needs the package {error.name}"
            raise MissingPackageError(msg, remedy=f"type: pip install 'mmtjax[{self._extra}]'") from error
        return getattr(module, attribute)


def is_installed(name: str) -> bool:
    """Return whether a package is installed, without importing it.

    Examples
    --------
    >>> is_installed("fractions"), is_installed("no_such_module")
    (True, False)
    """
    return importlib.util.find_spec(name) is not None


# Type checkers read these imports. Annotations that name the modules are quoted, for they would load them otherwise.
if TYPE_CHECKING:
    import dask.config as dask_config
    import distributed as distributed
    import jax as jax
    import pandas as pandas
    import pyarrow as pyarrow
    import xarray as xarray
    import zarr as zarr
    from pyarrow import parquet as parquet
    from scipy import ndimage as ndimage
else:
    dask_config = LazyModule("dask.config", extra="study")
    distributed = LazyModule("distributed", extra="study")
    jax = LazyModule("jax")
    ndimage = LazyModule("scipy.ndimage")
    pandas = LazyModule("pandas")
    pyarrow = LazyModule("pyarrow", extra="parquet")
    parquet = LazyModule("pyarrow.parquet", extra="parquet")
    xarray = LazyModule("xarray")
    zarr = LazyModule("zarr", extra="study")
