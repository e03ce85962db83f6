"""Rounds until the windows agree: conjugate gradients for all maps at once, with the windows as preconditioner."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from mmtjax.parallel.saved_arrays import load_arrays, save_arrays
from mmtjax.parallel.task_runner import TaskRunner
from mmtjax.subdomains.problem import WindowProblem, owner_of
from mmtjax.subdomains.work import (
    apply_block,
    compare_block,
    directions_file,
    form_block,
    residual_file,
    solve_window,
)

#: Largest change by a round at which the measured map and the maps of noise have converged: the root of the energy of
#: the change, in units of the noise. No grain is then further from its solution than this number of its standard
#: deviations; a confidence radius of 95 % is at least 1.96 of them.
SETTLED = 2e-2
SETTLED_DRAW = 1e-1

#: Largest number of rounds, and the number of previous rounds that new directions are made conjugate to; in exact
#: arithmetic one would be sufficient.
_ROUNDS = 200
_REMEMBERED = 2

#: Directions whose energy is below this share of the largest energy depend on the others.
_DEPENDENT = 1e-13


class RoundState(NamedTuple):
    """The state of the rounds: one row for the measured map, then one for each map of noise.

    Attributes
    ----------
    magnetization
        Current values of the unknowns; those of maps of noise are in units of the noise.
    alone
        Values from the windows alone, each for the grains of its core.
    residual
        Residual of the normal equations.
    directions, images
        Directions of the last rounds, conjugate and with an energy of one, and their products with QᵀW²Q.
    moves
        The root of the energy of the change by each round, in units of the noise.
    forward
        The field of the solution, nT, if all maps have converged; empty otherwise.
    """

    magnetization: Float[np.ndarray, "map unknown"]
    alone: Float[np.ndarray, "map unknown"]
    residual: Float[np.ndarray, "map unknown"]
    directions: Float[np.ndarray, "direction unknown"]
    images: Float[np.ndarray, "direction unknown"]
    moves: Float[np.ndarray, "round map"]
    forward: Float[np.ndarray, "ny nx"]

    @property
    def rounds(self) -> int:
        """Number of rounds so far."""
        return len(self.moves)

    @property
    def settled(self) -> bool:
        """Whether all maps have converged, so that the field is known."""
        return self.forward.size > 0


def right_sides(problem: WindowProblem, place: Path, runner: TaskRunner) -> Float[np.ndarray, "map unknown"]:
    """Compute the columns of all blocks; return QᵀW²φ of all maps, with the part of the prior in maps of noise."""
    done, names = place / "rights.arrays", ("rights",)
    if done.exists():
        return load_arrays(done, names, owner=owner_of(place))["rights"]
    total = functools.reduce(np.add, runner.results("columns", form_block, len(problem.blocks)))
    if problem.ridge is not None:
        for draw in range(1, len(total)):
            total[draw] += np.sqrt(problem.ridge) * problem.prior_deviates(draw)
    save_arrays({"rights": total}, done, owner=owner_of(place))
    return total


def agree(
    problem: WindowProblem,
    place: Path,
    runner: TaskRunner,
    rights: Float[np.ndarray, "map unknown"],
    *,
    noise: Callable[[float], float],
) -> RoundState:
    """Run rounds until all maps have converged; return the last state, without a field if they do not converge.

    In each round, the windows compute corrections from the residuals, and these are made conjugate to those of previous
    rounds. All maps are then changed along all of these directions to the least misfit, because their equations differ
    only in the right sides. The full corrections of overlapping windows are added (additive Schwarz): a smooth pattern
    that many grains share and that hardly affects the map must not be cut off at the edge of a core.

    Parameters
    ----------
    problem, place, runner
        The problem, the directory of its work, and the runner of its tasks.
    rights
        The `right_sides`.
    noise
        The standard deviation of a sensor of weight one, from the weighted sum of squares of the misfit.
    """
    measured = float(np.sum((problem.weight * problem.field) ** 2))
    state = _load(place) or _beginning(rights)
    allowed = np.append(SETTLED, np.full(problem.options.draws, SETTLED_DRAW))
    while state.rounds < _ROUNDS:
        moved = _moved(problem, place, runner, state)
        square = max(measured - float(moved.magnetization[0] @ (rights[0] + moved.residual[0])), 0.0)
        moved.moves[-1, 0] /= noise(square)
        settled = moved.moves[-1] <= allowed
        runner.report("maps that agree", int(np.sum(settled)), len(settled))
        if np.all(settled) and state.settled:
            # The last change is not applied: it only shows the error of the previous solution, whose field is known.
            break
        state = _compared(problem, place, runner, moved) if np.all(settled) else moved
        _save(place, state)
    return state


def _corrections(
    problem: WindowProblem, place: Path, runner: TaskRunner, state: RoundState
) -> tuple[Float[np.ndarray, "map unknown"], Float[np.ndarray, "map unknown"]]:
    """Return the sums of the corrections of all windows, and the corrections of each window for its core only."""
    np.save(residual_file(place), state.residual)
    together, alone = np.zeros_like(state.residual), np.zeros_like(state.residual)
    results = runner.results("corrections", solve_window, len(problem.windows))
    grains = problem.grains.unknowns
    for window, found in zip(problem.windows, results, strict=True):
        together[:, grains.of(window.grains)] += found
        alone[:, grains.of(window.grains[window.core])] = found[:, np.repeat(window.core, len(grains.components))]
    # The background is corrected while all grains are fixed, as each window is while all other unknowns are fixed.
    together[:, grains.size :] = state.residual[:, grains.size :] @ problem.background_inverse
    alone[:, grains.size :] = together[:, grains.size :]
    return together, alone


def _moved(problem: WindowProblem, place: Path, runner: TaskRunner, state: RoundState) -> RoundState:
    """Return the state with all maps changed to the least misfit along the corrections of all maps."""
    corrections, alone = _corrections(problem, place, runner, state)
    # Make directions conjugate before their images are computed, so that these lose no digits.
    lengths = np.linalg.norm(corrections, axis=1)
    new = corrections[lengths > 0] / lengths[lengths > 0, None]
    new -= (new @ state.images.T) @ state.directions
    # The products need the directions of one unknown next to each other in memory.
    np.save(directions_file(place), np.asfortranarray(new))
    images = functools.reduce(np.add, runner.results("directions", apply_block, len(problem.blocks)))
    if problem.ridge is not None:
        images += problem.ridge * new
    energy, turn = np.linalg.eigh(new @ images.T)
    kept = energy > _DEPENDENT * energy[-1]
    turn = (turn[:, kept] / np.sqrt(energy[kept])).T
    directions, images = turn @ new, turn @ images
    along = state.residual @ directions.T
    last = slice(-_REMEMBERED * len(state.residual), None)
    return state._replace(
        magnetization=state.magnetization + along @ directions,
        alone=state.alone if state.rounds else alone,
        residual=state.residual - along @ images,
        directions=np.concatenate([state.directions, directions])[last],
        images=np.concatenate([state.images, images])[last],
        moves=np.vstack([state.moves, np.linalg.norm(along, axis=1)]),
        forward=np.zeros((0, 0)),
    )


def _compared(problem: WindowProblem, place: Path, runner: TaskRunner, state: RoundState) -> RoundState:
    """Return the state with the field of its solution, and with the residual computed anew from the map.

    The residual that is updated in every round has accumulated rounding errors.
    """
    np.save(directions_file(place), state.magnetization[:1])
    forward, gradient = np.zeros(problem.grid.shape), np.zeros(problem.unknowns)
    results = runner.results("comparison", compare_block, len(problem.blocks))
    for part, found in zip(problem.blocks, results, strict=True):
        forward[part] = found.forward
        gradient += found.gradient
    if problem.ridge is not None:
        gradient -= problem.ridge * state.magnetization[0]
    nothing = np.zeros((0, problem.unknowns))
    residual = np.vstack([gradient, state.residual[1:]])
    return state._replace(residual=residual, directions=nothing, images=nothing, forward=forward)


def _beginning(rights: Float[np.ndarray, "map unknown"]) -> RoundState:
    """Return the state before the first round."""
    nothing = np.zeros((0, rights.shape[1]))
    return RoundState(
        magnetization=np.zeros_like(rights),
        alone=np.zeros_like(rights),
        residual=rights,
        directions=nothing,
        images=nothing,
        moves=np.zeros((0, len(rights))),
        forward=np.zeros((0, 0)),
    )


def _load(place: Path) -> RoundState | None:
    """Return the state after the last complete round, or None."""
    file = place / "state.arrays"
    if not file.exists():
        return None
    found = load_arrays(file, RoundState._fields, owner=owner_of(place))
    # The file is replaced after each round.
    return RoundState(**{name: np.array(values) for name, values in found.items()})


def _save(place: Path, state: RoundState) -> None:
    """Write the state after a round."""
    save_arrays(state._asdict(), place / "state.arrays", owner=owner_of(place))
