"""Numbers of the code before it was rebuilt from parts, which every step of the rebuilding is held to."""
