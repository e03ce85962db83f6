"""The most memory that this process has held."""

import resource
import sys
from pathlib import Path


def peak_gib() -> float:
    """Most memory resident since the process began, GiB: ``VmHWM`` where the system tells it, else ``ru_maxrss``."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 2**20
    # Kilobytes on most systems, bytes on macOS.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)
