"""Print every figure as a line `name value unit`: ``python -m benchmarks.run [topic ...]``; progress goes to stderr.

Each measurement runs in a process of its own, whose CPUs are set before Python starts. Thread pools take their size
from the CPUs they may use: one CPU means one core for JAX, BLAS and Numba alike. The variables below say it again.
"""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

#: Topic (a file of this folder), function in it, and number of CPUs.
MEASUREMENTS = (
    ("columns", "one_core", 1),
    ("columns", "two_cores", 2),
    ("kernels", "shares_and_costs", 1),
    ("products", "one_core", 1),
    ("inversion", "tutorial", 2),
    ("inversion", "synthetic", 2),
    ("accuracy", "every_form", 2),
    ("uncertainty", "radii", 2),
    ("compressed", "one_core", 1),
    ("study_tenth", "cells", 2),
    ("design", "gradient", 2),
    ("accelerator", "check_and_time", 2),
)

#: Minutes and gigabytes each: measured only when the topic is named.
LARGE = (
    ("limit", "thickness_50", 2),
    ("limit", "thickness_75", 2),
    ("survey", "basalt", 2),
    ("subdomains", "growth", 2),
    ("subdomains", "accuracy", 2),
    ("goal", "pieces", 1),
)

#: The second word of XLA_FLAGS is no flag of XLA; it is the customary spelling, and ignored where it is not known.
SINGLE_THREAD = {
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
}
#: Figures are those of the CPU unless the environment asks for another platform.
ALWAYS = {"JAX_ENABLE_X64": "1", "JAX_PLATFORMS": os.environ.get("JAX_PLATFORMS", "cpu")}


def main(topics: list[str]) -> int:
    """Run the measurements of `topics`, or all but the large ones; the number of those that failed."""
    known = {topic for topic, _, _ in MEASUREMENTS + LARGE}
    if unknown := sorted(set(topics) - known):
        print(f"unknown topics {unknown}; known are {sorted(known)}", file=sys.stderr)
        return 2
    chosen = [item for item in MEASUREMENTS + LARGE if item[0] in topics] if topics else MEASUREMENTS
    return sum(measure(*item) for item in chosen)


def measure(topic: str, function: str, cpus: int) -> bool:
    """Run one measurement in a process of its own on `cpus` CPUs; whether it failed."""
    print(f"# {topic}.{function} on {cpus} of {os.cpu_count()} CPUs", file=sys.stderr)
    process = subprocess.run(
        [sys.executable, "-c", f"from benchmarks.{topic} import {function}; {function}()"],
        cwd=ROOT,
        env={**os.environ, **ALWAYS, **(SINGLE_THREAD if cpus == 1 else {})},
        preexec_fn=partial(pin, cpus),
        check=False,
    )
    if process.returncode:
        print(f"# {topic}.{function} failed with exit status {process.returncode}", file=sys.stderr)
    return process.returncode != 0


def pin(cpus: int) -> None:
    """Confine this process to the last `cpus` of the CPUs it may use; where the system cannot, say so."""
    if not hasattr(os, "sched_setaffinity"):
        print("# this system cannot pin a process: figures of one core are not to be trusted", file=sys.stderr)
        return
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-cpus:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
