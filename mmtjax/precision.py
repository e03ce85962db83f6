"""Check that JAX uses double precision, whether values are traced, and in which memory arrays are."""

import contextlib
from collections.abc import Sequence

import jax
import numpy as np
import numpy.typing
from jax.core import Tracer

from mmtjax.errors import InputError, InputTypeError, SetupError
from mmtjax.platform import require_device

#: A number, a nested sequence of numbers or an array, which may be traced. `Sequence` is there because a check of types
#: at run time by `numpy.typing.ArrayLike` alone refuses tuples.
ArrayLike = numpy.typing.ArrayLike | Sequence

#: An array of NumPy or of JAX.
AnyArray = np.ndarray | jax.Array


def require_float64() -> None:
    """Raise an error unless JAX computes in double precision.

    In single precision a solution has no correct digits at the condition numbers of this problem. Importing the package
    does not change the configuration of JAX, so the user has to set it.

    Raises
    ------
    RuntimeError
        If ``jax_enable_x64`` is off, the message contains the line of code to type; if JAX cannot start on the platform
        that ``JAX_PLATFORMS`` names, it says so.
    """
    if jax.dtypes.canonicalize_dtype(np.float64) != np.float64:
        msg = (
            "mmtjax computes in double precision and JAX is set to single; type this before any JAX computation:\n"
            '    import jax; jax.config.update("jax_enable_x64", True)'
        )
        raise SetupError(msg)
    require_device()


def is_concrete(*values: object) -> bool:
    """Return whether all values are known numbers: none is traced by jit, grad or vmap.

    Parameters
    ----------
    *values
        Numbers, arrays, or modules and containers of them.

    Examples
    --------
    >>> is_concrete(np.zeros(3), 1.0)
    True
    """
    return not any(isinstance(leaf, Tracer) for leaf in _leaves(values))


def _leaves(values: object) -> list[object]:
    """Return the leaves of containers; none for a mapping whose keys cannot be sorted, in which JAX traces nothing."""
    try:
        return jax.tree_util.tree_leaves(values)
    except ValueError:
        return []


def in_main_memory(values: np.ndarray | jax.Array) -> bool:
    """Return whether NumPy, BLAS and LAPACK can read an array without a copy.

    Examples
    --------
    >>> in_main_memory(np.zeros(3))
    True
    """
    if isinstance(values, np.ndarray):
        return True
    return is_concrete(values) and all(device.platform == "cpu" for device in values.devices())


def on_accelerator() -> bool:
    """Return whether the default device of JAX is an accelerator, not the CPU.

    Examples
    --------
    >>> with jax.default_device(jax.devices("cpu")[0]):
    ...     on_accelerator()
    False
    """
    return default_device().platform != "cpu"


# Type checkers do not see the class behind `jax.Device`, which is compiled and has no stub.
def default_device() -> jax.Device:  # pyright: ignore[reportInvalidTypeForm]
    """Return the default device of JAX: that of ``jax.default_device`` if it is set, or else the first device.

    Examples
    --------
    >>> with jax.default_device("cpu"):
    ...     default_device().platform
    'cpu'
    """
    # JAX adds its options to `jax.config` at run time.
    chosen = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]
    if chosen is None or isinstance(chosen, str):
        return jax.local_devices(backend=chosen)[0]
    return chosen


def float64_array(values: object, *, name: str) -> np.ndarray | jax.Array:
    """Return values as a float64 array; arrays of JAX and traced values are returned as arrays of JAX.

    Parameters
    ----------
    values
        Anything that a user may pass as numbers.
    name
        Name of the argument in the error message.

    Raises
    ------
    ValueError
        If `values` are not real numbers, or some of them are masked (`numpy.ma`).

    Examples
    --------
    >>> float64_array([1, 2], name="spacing")
    array([1., 2.])
    >>> float64_array(np.ma.masked_equal([1.0, -9999.0], -9999.0), name="noise")
    Traceback (most recent call last):
        ...
    mmtjax.errors.InputError: noise is a masked array, with 1 of 2 values masked; ... without masked values
    """
    refuse_masked(values, name=name)
    try:
        array = jax.numpy.asarray(values) if _is_of_jax(values) else np.asarray(values)
        if not any(jax.numpy.issubdtype(array.dtype, kind) for kind in (np.floating, np.integer, np.bool_)):
            msg = f"dtype {array.dtype}"
            raise InputTypeError(msg)
    except (TypeError, ValueError, OverflowError) as error:
        msg = f"{name} must be an array of real numbers; got {values!r:.200} ({error})"
        raise InputError(msg) from error
    return array.astype(jax.dtypes.canonicalize_dtype(np.float64) if isinstance(array, jax.Array) else np.float64)


def refuse_masked(values: object, *, name: str) -> None:
    """Raise a ValueError if masked values of `numpy.ma` are among `values`, because NumPy would use what is beneath.

    Parameters
    ----------
    values
        A number, an array, or a container of them.
    name
        Name of the argument in the error message.
    """
    for leaf in _leaves(values):
        if isinstance(leaf, np.ma.MaskedArray) and np.ma.is_masked(leaf):
            hidden = np.ma.getmaskarray(leaf)
            msg = (
                f"{name} is a masked array, with {hidden.sum()} of {hidden.size} values masked; fill them, or pass an "
                "array without masked values"
            )
            raise InputError(msg)


def _is_of_jax(values: object) -> bool:
    """Return whether `values` are an array of JAX, or traced or contain something traced."""
    return isinstance(values, jax.Array) or not is_concrete(values)


def real_number(value: object, *, name: str, expected: str = "one number") -> float:
    """Return one known real number, of Python, NumPy or JAX, as a float; it may be infinite or NaN.

    Parameters
    ----------
    value
        What a user passes as a number.
    name, expected
        Name of the argument, and what it must be, for the error message.

    Raises
    ------
    TypeError
        For anything else, also for text, truth values and arrays of one dimension or more.

    Examples
    --------
    >>> real_number(np.float32(0.5), name="limit"), real_number(3, name="draws")
    (0.5, 3.0)
    """
    shape: tuple[int, ...] | None = None
    if not isinstance(value, bool | np.bool_ | str | bytes) and is_concrete(value):
        with contextlib.suppress(InputError):
            array = float64_array(value, name=name)
            if array.shape == ():
                return float(array)
            shape = array.shape
    given = f"{value!r:.100}".partition("\n")[0] if shape is None else f"an array of shape {shape}"
    msg = f"{name} must be {expected}; got {given}"
    raise InputTypeError(msg)


def whole_number(value: object, *, name: str) -> int:
    """Return one known whole number, of Python, NumPy or JAX.

    Parameters
    ----------
    value
        What a user passes as a whole number.
    name
        Name of the argument in the error message.

    Raises
    ------
    TypeError
        For anything else, also for numbers with a fraction.
    ValueError
        For a number of more than 64 bits, on which arithmetic with other numbers fails.

    Examples
    --------
    >>> whole_number(np.int64(3), name="draws")
    3
    """
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    else:
        real = real_number(value, name=name)
        if not real.is_integer():
            msg = f"{name} must be a whole number; got {value!r:.100}"
            raise InputTypeError(msg)
        number = int(real)
    if not -(2**63) <= number < 2**63:
        msg = f"{name} must lie between -2**63 and 2**63 - 1, but has {number.bit_length()} bits"
        raise InputError(msg)
    return number


def random_key(seed: int) -> jax.Array:
    """Return the random key of JAX of a seed.

    Parameters
    ----------
    seed
        A whole number of 64 bits.

    Raises
    ------
    ValueError
        For a number of more bits.

    Examples
    --------
    >>> random_key(1) == jax.random.key(1)
    Array(True, dtype=bool)
    """
    return jax.random.key(whole_number(seed, name="the seed"))


def require_key(key: object) -> None:
    """Raise an error unless a value is one random key of JAX.

    Parameters
    ----------
    key
        What a user passes as a key.

    Raises
    ------
    TypeError
        For anything else.
    """
    if isinstance(key, jax.Array):
        typed = jax.numpy.issubdtype(key.dtype, jax.dtypes.prng_key)
        if (typed and key.shape == ()) or (key.dtype == np.uint32 and key.shape in ((2,), (4,))):
            return
    msg = f"key must be a random key of JAX, such as jax.random.key(0); got {key!r:.100}"
    raise InputTypeError(msg)
