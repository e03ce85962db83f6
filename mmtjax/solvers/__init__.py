"""Solvers reduce the weighted least-squares problem to a triangular factor, which gives solutions and covariances."""

from collections.abc import Mapping

from mmtjax.errors import InputError
from mmtjax.solvers.auto import AutoSolver as AutoSolver
from mmtjax.solvers.base import AbstractFactor as AbstractFactor
from mmtjax.solvers.base import AbstractSolver as AbstractSolver
from mmtjax.solvers.base import FactorSolution as FactorSolution
from mmtjax.solvers.cholesky import Cholesky as Cholesky
from mmtjax.solvers.orthogonal import Orthogonal as Orthogonal
from mmtjax.solvers.triangular_factor import TriangularFactor as TriangularFactor

#: The solvers by name.
SOLVERS: Mapping[str, AbstractSolver] = {one.name: one for one in (AutoSolver(), Cholesky(), Orthogonal())}


def as_solver(method: str | AbstractSolver) -> AbstractSolver:
    """Return the solver of a name; a solver is returned unchanged.

    Parameters
    ----------
    method
        ``"auto"``, ``"cholesky"`` or ``"orthogonal"``, or a solver.

    Raises
    ------
    ValueError
        If no solver has that name.

    Examples
    --------
    >>> as_solver("cholesky").limit
    3000000.0
    """
    if isinstance(method, AbstractSolver):
        return method
    if not isinstance(method, str) or method not in SOLVERS:
        names = ", ".join(map(repr, SOLVERS))
        msg = f"method must be one of {names}, or an AbstractSolver; got {method!r}"
        raise InputError(msg)
    return SOLVERS[method]
