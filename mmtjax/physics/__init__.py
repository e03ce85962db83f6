"""The field of one source at one sensor, as functions of arrays that do not depend on grains, grids or devices."""
