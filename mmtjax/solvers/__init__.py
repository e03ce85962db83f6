"""Solvers reduce the weighted least-squares problem to a triangular factor."""

from mmtjax.solvers.base import AbstractSolver as AbstractSolver
from mmtjax.solvers.base import Reduced as Reduced
from mmtjax.solvers.cholesky import Cholesky as Cholesky
from mmtjax.solvers.orthogonal import Orthogonal as Orthogonal
