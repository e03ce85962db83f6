"""Rounds that bring windows to agreement: conjugate gradients for all maps at once, preconditioned by windows."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from mmtjax.files import replace_when_complete
from mmtjax.parallel.task_runner import TaskRunner
from mmtjax.subdomains.problem import WindowProblem
from mmtjax.subdomains.work import (
    apply_block,
    compare_block,
    directions_file,
    form_block,
    residual_file,
    solve_window,
)

#: How far a round may still move the measured map and maps of noise when they count as settled: the root of the energy
#: of the move, in units of the noise. No grain is then further from its solution than this many of its standard
#: deviations, 1.96 of which or more are a confidence radius of 95 %.
SETTLED = 2e-2
SETTLED_DRAW = 1e-1

#: Rounds at most, and how many of them a new direction is made conjugate to; in exact arithmetic one would do.
_ROUNDS = 200
_REMEMBERED = 2

#: Directions whose energy is below this share of that of the largest are not new.
_DEPENDENT = 1e-13


class RoundState(NamedTuple):
    """The state of the rounds: one row for the measured map, then one for each map of noise.

    Attributes
    ----------
    magnetization
        Values of the unknowns so far; of maps of noise in units of it.
    alone
        Values by the windows alone, each for the grains of its core.
    residual
        Residual of the normal equations.
    directions, images
        Directions of the last rounds, conjugate and of energy one, and QᵀW²Q times them.
    moves
        The root of the energy of the move of each round, in units of the noise.
    forward
        The field of the solution, nT, once all maps have settled; empty before.
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
        """Whether all maps have settled, so that the field is known."""
        return self.forward.size > 0


def right_sides(problem: WindowProblem, place: Path, runner: TaskRunner) -> Float[np.ndarray, "map unknown"]:
    """Return QᵀW²φ of the measured map, and of maps of noise with the part of a prior; make the columns of blocks."""
    done = place / "rights.npy"
    if done.exists():
        return np.load(done)
    total = functools.reduce(np.add, runner.results("columns", form_block, len(problem.blocks)))
    if problem.ridge is not None:
        for draw in range(1, len(total)):
            total[draw] += np.sqrt(problem.ridge) * problem.prior_deviates(draw)
    with replace_when_complete(done) as partial, partial.open("wb") as file:
        np.save(file, total)
    return total


def agree(
    problem: WindowProblem,
    place: Path,
    runner: TaskRunner,
    rights: Float[np.ndarray, "map unknown"],
    *,
    noise: Callable[[float], float],
) -> RoundState:
    """Run rounds until all maps have settled; return the last state, without a field if they do not settle.

    Each round, windows turn the residuals into corrections, which are made conjugate to those before. All maps are
    then moved along all of these directions to where the misfit is least, for the equations differ in their right
    sides only. Additive Schwarz: corrections of overlapping windows are added, whole, for a smooth pattern that many
    grains share and the map hardly sees must not be cut.

    Parameters
    ----------
    problem, place, runner
        The problem, the directory of its work, and who does it.
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
            # The move is not made: it has shown how right the solution before it is, whose field is known.
            break
        state = _compared(problem, place, runner, moved) if np.all(settled) else moved
        _save(place, state)
    return state


def _corrections(
    problem: WindowProblem, place: Path, runner: TaskRunner, state: RoundState
) -> tuple[Float[np.ndarray, "map unknown"], Float[np.ndarray, "map unknown"]]:
    """Return corrections of all windows together, and those of each window for its core alone."""
    np.save(residual_file(place), state.residual)
    together, alone = np.zeros_like(state.residual), np.zeros_like(state.residual)
    results = runner.results("corrections", solve_window, len(problem.windows))
    grains = problem.grains.unknowns
    for window, found in zip(problem.windows, results, strict=True):
        together[:, grains.of(window.grains)] += found
        alone[:, grains.of(window.grains[window.core])] = found[:, np.repeat(window.core, len(grains.components))]
    # The background is corrected with all grains as they are, as each window is with all else as it is.
    together[:, grains.size :] = state.residual[:, grains.size :] @ problem.background_inverse
    alone[:, grains.size :] = together[:, grains.size :]
    return together, alone


def _moved(problem: WindowProblem, place: Path, runner: TaskRunner, state: RoundState) -> RoundState:
    """Move all maps to the least misfit along the corrections of all maps."""
    corrections, alone = _corrections(problem, place, runner, state)
    # Conjugate in exact arithmetic before the new images are known, so that these lose no digits.
    lengths = np.linalg.norm(corrections, axis=1)
    new = corrections[lengths > 0] / lengths[lengths > 0, None]
    new -= (new @ state.images.T) @ state.directions
    # Of one unknown all directions beside each other, as products want them.
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
    """Return the state with the field of its solution, and with the residual of the map itself.

    Rounding has built up in the one that was carried along.
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
    """Return the state after the last complete round, if there is one."""
    file = place / "state.npz"
    if not file.exists():
        return None
    with np.load(file) as arrays:
        return RoundState(**arrays)


def _save(place: Path, state: RoundState) -> None:
    with replace_when_complete(place / "state.npz") as partial, partial.open("wb") as file:
        np.savez(file, **state._asdict())
