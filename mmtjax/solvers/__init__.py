"""Solvers reduce the weighted least-squares problem to a factor, from which all answers follow."""

from collections.abc import Mapping

from mmtjax.solvers.auto import AutoSolver as AutoSolver
from mmtjax.solvers.base import AbstractFactor as AbstractFactor
from mmtjax.solvers.base import AbstractSolver as AbstractSolver
from mmtjax.solvers.base import Step as Step
from mmtjax.solvers.cholesky import Cholesky as Cholesky
from mmtjax.solvers.orthogonal import Orthogonal as Orthogonal
from mmtjax.solvers.triangular_factor import TriangularFactor as TriangularFactor

#: The solvers by name.
SOLVERS: Mapping[str, AbstractSolver] = {one.name: one for one in (AutoSolver(), Cholesky(), Orthogonal())}


def as_solver(method: str | AbstractSolver) -> AbstractSolver:
    """Return a solver by its name, or the solver that is passed.

    Raises
    ------
    ValueError
        For a name that is none.

    Examples
    --------
    >>> as_solver("cholesky").limit
    3000000.0
    """
    if isinstance(method, AbstractSolver):
        return method
    if method not in SOLVERS:
        names = ", ".join(map(repr, SOLVERS))
        raise ValueError(f"method must be one of {names}, or an AbstractSolver; got {method!r}")
    return SOLVERS[method]
