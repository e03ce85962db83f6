"""The page of results: one HTML file with linked views, which needs no network."""

from mmtjax.page.write import require_bokeh as require_bokeh
from mmtjax.page.write import write_page as write_page
