"""Fields of one source at one sensor: arrays in, arrays out; nothing here knows of grains, grids or devices."""
