"""Maps with unknown factors, which an inversion solves for together with the sources: a background, or any map."""

from mmtjax.patterns.background import Background as Background
from mmtjax.patterns.base import AbstractPattern as AbstractPattern
from mmtjax.patterns.fixed import FixedColumns as FixedColumns
