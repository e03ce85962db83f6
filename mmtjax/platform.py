"""Check that JAX can start on the platform of its settings; JAX is imported by the check, not before."""

from mmtjax.errors import SetupError
from mmtjax.lazy import jax


def require_device() -> None:
    """Raise an error if JAX cannot start on the platform that its settings name.

    Raises
    ------
    RuntimeError
        If there is no such platform; the message names the environment variable ``JAX_PLATFORMS``.
    """
    try:
        jax.devices()
    # JAX fails by an assertion where a platform is known and has no device.
    except (RuntimeError, AssertionError) as error:
        # JAX adds its options to `jax.config` at run time.
        chosen = jax.config.jax_platforms  # pyright: ignore[reportAttributeAccessIssue]
        reason = f" ({str(error).splitlines()[0]})" if str(error) else ""
        msg = f"JAX cannot start on {chosen or 'this computer'!r}, the platform that JAX_PLATFORMS asks for{reason}"
        raise SetupError(msg, remedy="unset JAX_PLATFORMS, or set it to cpu") from error
