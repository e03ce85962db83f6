"""Windows iterated to agreement: conjugate gradients for all maps at once, preconditioned by the windows."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from mmtjax.files import beside
from mmtjax.greens.blocks import unknowns_of
from mmtjax.subdomains.crew import Crew
from mmtjax.subdomains.problem import Problem
from mmtjax.subdomains.work import (
    apply_block,
    compare_block,
    directions_file,
    form_block,
    residual_file,
    solve_window,
)

#: Errors that may be left, as a share of the confidence radius: of the map's magnetizations, and of those of maps of
#: noise. What is held against them are the corrections of the windows, which are two to ten times the errors.
SETTLED = 1e-2
SETTLED_DRAW = 5e-2

#: Rounds at most, and how many of them a new direction is made conjugate to; in exact arithmetic one would do.
_ROUNDS = 200
_REMEMBERED = 2

#: Directions whose energy is below this share of that of the largest are not new.
_DEPENDENT = 1e-13


class State(NamedTuple):
    """Where the rounds have come to: one row for the measured map, then one for each map of noise.

    Attributes
    ----------
    magnetization
        What the rounds have come to; of maps of noise in units of it.
    alone
        What the windows gave by themselves, each for the grains of its core.
    residual
        What is left of the right sides of the normal equations.
    directions, images
        Directions of the last rounds, conjugate and of energy one, and QᵀW²Q times them.
    errors
        Largest correction of a grain by the windows as a share of its confidence radius, (round, map).
    """

    magnetization: Float[np.ndarray, "map unknown"]
    alone: Float[np.ndarray, "map unknown"]
    residual: Float[np.ndarray, "map unknown"]
    directions: Float[np.ndarray, "direction unknown"]
    images: Float[np.ndarray, "direction unknown"]
    errors: Float[np.ndarray, "round map"]

    @property
    def rounds(self) -> int:
        """Number of rounds so far."""
        return len(self.errors)


class Agreement(NamedTuple):
    """The last state, and the field of its solution, (ny, nx), nT; None if the windows did not come to agree."""

    state: State
    forward: Float[np.ndarray, "ny nx"] | None


def right_sides(problem: Problem, place: Path, crew: Crew) -> Float[np.ndarray, "map unknown"]:
    """QᵀW²φ of the measured map, and of maps of noise with what a prior adds to them; makes the columns of blocks."""
    done = place / "rights.npy"
    if done.exists():
        return np.load(done)
    total = sum(crew.results("columns", form_block, len(problem.blocks)))
    if problem.ridge is not None:
        for draw in range(1, len(total)):
            total[draw] += np.sqrt(float(problem.ridge)) * problem.prior_deviates(draw)
    with beside(done) as partial, partial.open("wb") as file:
        np.save(file, total)
    return total


def agree(
    problem: Problem,
    place: Path,
    crew: Crew,
    rights: Float[np.ndarray, "map unknown"],
    *,
    radius: Float[np.ndarray, " grain"],
    noise: Callable[[float], float],
) -> Agreement:
    """Rounds until all maps have settled.

    Each round, windows turn the residuals into corrections, which are made conjugate to those before. All maps are
    then moved along all of these directions to where the misfit is least, for the equations differ in their right
    sides only. Additive Schwarz: corrections of overlapping windows are added, whole, for a smooth pattern that many
    grains share and the map hardly sees must not be cut.

    Parameters
    ----------
    problem, place, crew
        The problem, the directory of its work, and who does it.
    rights
        The `right_sides`.
    radius
        Confidence radii of the windows by themselves, for noise of one.
    noise
        The standard deviation of a sensor of weight one, from the weighted sum of squares of the misfit.
    """
    measured = float(np.sum((problem.weight * problem.field) ** 2))
    state = _load(place) or _beginning(rights)
    allowed = np.append(SETTLED, np.full(problem.options.draws, SETTLED_DRAW))
    forward = None
    while state.rounds < _ROUNDS:
        corrections, alone = _corrections(problem, place, crew, state)
        square = max(measured - float(state.magnetization[0] @ (rights[0] + state.residual[0])), 0.0)
        scale = np.where(np.arange(len(corrections)) == 0, noise(square), 1.0)[:, None] * radius
        sizes = np.linalg.norm(corrections.reshape(len(corrections), -1, 3), axis=2)
        errors = np.max(sizes / np.maximum(scale, np.finfo(float).tiny), axis=1)
        state = state._replace(errors=np.vstack([state.errors, errors]))
        if state.rounds == 1:
            state = state._replace(alone=alone)
        crew.tell("maps that agree", int(np.sum(errors <= allowed)), len(errors))
        if np.all(errors <= allowed):
            if forward is not None:
                break
            # Rounding has built up in the residual that was carried along: what counts is that of the map itself.
            forward, residual = _compared(problem, place, crew, state)
            nothing = np.zeros((0, problem.unknowns))
            state = state._replace(
                residual=np.vstack([residual, state.residual[1:]]), directions=nothing, images=nothing
            )
        else:
            forward = None
            state = _moved(problem, place, crew, state, corrections)
        _save(place, state)
    return Agreement(state, forward)


def _corrections(
    problem: Problem, place: Path, crew: Crew, state: State
) -> tuple[Float[np.ndarray, "map unknown"], Float[np.ndarray, "map unknown"]]:
    """Corrections of all windows together, and those of each window for its core alone."""
    np.save(residual_file(place), state.residual)
    together, alone = np.zeros_like(state.residual), np.zeros_like(state.residual)
    results = crew.results("corrections", solve_window, len(problem.windows))
    for window, found in zip(problem.windows, results, strict=True):
        together[:, unknowns_of(window.grains)] += found
        alone[:, unknowns_of(window.grains[window.core])] = found[:, np.repeat(window.core, 3)]
    return together, alone


def _moved(
    problem: Problem, place: Path, crew: Crew, state: State, corrections: Float[np.ndarray, "map unknown"]
) -> State:
    """All maps moved to the least misfit along the corrections of all maps."""
    # Conjugate in exact arithmetic before the new images are known, so that these lose no digits.
    lengths = np.linalg.norm(corrections, axis=1)
    new = corrections[lengths > 0] / lengths[lengths > 0, None]
    new -= (new @ state.images.T) @ state.directions
    np.save(directions_file(place), new)
    images = sum(crew.results("directions", apply_block, len(problem.blocks)))
    if problem.ridge is not None:
        images += float(problem.ridge) * new
    energy, turn = np.linalg.eigh(new @ images.T)
    kept = energy > _DEPENDENT * energy[-1]
    turn = (turn[:, kept] / np.sqrt(energy[kept])).T
    directions, images = turn @ new, turn @ images
    along = state.residual @ directions.T
    last = slice(-_REMEMBERED * len(state.residual), None)
    return state._replace(
        magnetization=state.magnetization + along @ directions,
        residual=state.residual - along @ images,
        directions=np.concatenate([state.directions, directions])[last],
        images=np.concatenate([state.images, images])[last],
    )


def _compared(
    problem: Problem, place: Path, crew: Crew, state: State
) -> tuple[Float[np.ndarray, "ny nx"], Float[np.ndarray, " unknown"]]:
    """The field of the solution, and the gradient that its misfit leaves."""
    np.save(directions_file(place), state.magnetization[:1])
    forward, gradient = np.zeros(problem.grid.shape), np.zeros(problem.unknowns)
    results = crew.results("comparison", compare_block, len(problem.blocks))
    for part, found in zip(problem.blocks, results, strict=True):
        forward[part] = found.forward
        gradient += found.gradient
    if problem.ridge is not None:
        gradient -= float(problem.ridge) * state.magnetization[0]
    return forward, gradient


def _beginning(rights: Float[np.ndarray, "map unknown"]) -> State:
    nothing = np.zeros((0, rights.shape[1]))
    return State(
        magnetization=np.zeros_like(rights),
        alone=np.zeros_like(rights),
        residual=rights,
        directions=nothing,
        images=nothing,
        errors=np.zeros((0, len(rights))),
    )


def _load(place: Path) -> State | None:
    """The state that the last complete round has left, if there is one."""
    file = place / "state.npz"
    if not file.exists():
        return None
    with np.load(file) as arrays:
        return State(**arrays)


def _save(place: Path, state: State) -> None:
    with beside(place / "state.npz") as partial, partial.open("wb") as file:
        np.savez(file, **state._asdict())
