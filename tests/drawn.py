"""What holds for every figure once it is drawn."""

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def assert_nothing_is_cut_off(figure: Figure) -> None:
    """Draw a figure, and look for parts of it beyond its edges."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    seen, (width, height) = figure.get_tightbbox(canvas.get_renderer()), figure.get_size_inches()
    assert seen.x0 >= -0.01
    assert seen.y0 >= -0.01
    assert seen.x1 <= width + 0.01
    assert seen.y1 <= height + 0.01
