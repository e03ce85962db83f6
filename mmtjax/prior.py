"""Normal priors about zero: what is known of the unknowns before the measurement."""

import equinox as eqx
import numpy as np
from jaxtyping import Float

from mmtjax.errors import InputError
from mmtjax.precision import ArrayLike, float64_array, is_concrete
from mmtjax.unknowns import UnknownSet

#: Smallest standard deviation that is accepted, and its inverse the largest: those whose fourth powers are numbers of
#: double precision.
_LEAST = 1e-60


class Prior(eqx.Module):
    """Independent normal priors, with a mean of zero, on the components of sources.

    Parameters
    ----------
    standard_deviation
        In the unit of the components: one number for all, (source, 1) for one per source, (component,) or
        (1, component) for one per component, or (source, component). In an array, infinite for no prior.

    Raises
    ------
    ValueError
        If a standard deviation is not positive, or the array has more than two dimensions.

    Examples
    --------
    The saturation of magnetite for all grains; the same for the first of two grains and a quarter of it for the second:

    >>> Prior(480e3).is_uniform, Prior([[480e3], [120e3]]).standard_deviation.shape
    (True, (2, 1))
    """

    standard_deviation: Float[np.ndarray, "..."]

    def __init__(self, standard_deviation: ArrayLike) -> None:
        if not is_concrete(standard_deviation):
            msg = "a prior is being traced; pass known numbers: it has no derivative"
            raise InputError(msg)
        if standard_deviation is None or isinstance(standard_deviation, str | bytes | bool):
            msg = f"prior must be a positive standard deviation in A/m, or None; got {standard_deviation!r}"
            raise InputError(msg)
        values = np.asarray(float64_array(standard_deviation, name="prior"))
        if values.ndim > 2 or values.size == 0:
            msg = (
                "prior must be one number, or an array (source, 1), (component,) or (source, component); got shape "
                f"{values.shape}"
            )
            raise InputError(msg)
        proper = (values > 0) & ((values.ndim > 0) | np.isfinite(values))
        if not np.all(proper):
            worst = values[~proper][0] if values.ndim else values[()]
            msg = f"prior must be a positive standard deviation in A/m, or None; got {float(worst)!r}"
            raise InputError(msg)
        extreme = (values < _LEAST) | ((values > 1 / _LEAST) & np.isfinite(values))
        if np.any(extreme):
            msg = (
                f"prior must lie between {_LEAST:g} and {1 / _LEAST:g}, in A/m or the unit of the components; got "
                f"{float(values[extreme].flat[0]):g}"
            )
            raise InputError(msg, remedy="pass None for no prior")
        self.standard_deviation = values

    @property
    def is_uniform(self) -> bool:
        """Whether one standard deviation is used for all components."""
        return self.standard_deviation.ndim == 0

    def precision(self, unknowns: UnknownSet) -> Float[np.ndarray, " unknown"]:
        """Return the precision (1/variance) of each unknown of a set, in 1/unit²; zero where there is no prior.

        Parameters
        ----------
        unknowns
            The sources and their components.

        Raises
        ------
        ValueError
            If the shape does not fit the sources, or one number is given for components of different units.

        Examples
        --------
        >>> from mmtjax.unknowns import Component
        >>> Prior([[2.0], [np.inf]]).precision(UnknownSet("points", 2, (Component("x", "T"), Component("y", "T"))))
        array([0.25, 0.25, 0.  , 0.  ])
        """
        shape = unknowns.sources, len(unknowns.components)
        units = dict.fromkeys(one.unit for one in unknowns.components)
        if self.standard_deviation.shape[-1:] in ((), (1,)) and len(units) > 1:
            msg = (
                f"a prior of {unknowns.name} needs one standard deviation per component, for their units are "
                f"{', '.join(units)}; got shape {self.standard_deviation.shape}, pass ({len(unknowns.components)},)"
            )
            raise InputError(msg)
        try:
            spread = np.broadcast_to(self.standard_deviation, shape)
        except ValueError as error:
            msg = (
                f"a prior of {unknowns.name} must be one number, ({shape[0]}, 1) for one per source, ({shape[1]},) for "
                f"one per component, or {shape}; got shape {self.standard_deviation.shape}"
            )
            raise InputError(msg) from error
        return (1 / spread**2).ravel()

    def __str__(self) -> str:
        low, high = float(self.standard_deviation.min()), float(self.standard_deviation.max())
        return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def as_prior(prior: Prior | ArrayLike | None) -> Prior | None:
    """Return the prior of a number or an array; a prior and None are returned unchanged.

    Parameters
    ----------
    prior
        A prior, its standard deviation as for `Prior`, or None for no prior.

    Raises
    ------
    ValueError
        As `Prior`.

    Examples
    --------
    >>> as_prior(480e3).is_uniform, as_prior(None)
    (True, None)
    """
    if prior is None or isinstance(prior, Prior):
        return prior
    return Prior(prior)
