"""Patterns that are known at every sensor: a background, and columns that a user or a noise gives."""

from mmtjax.patterns.background import Background as Background
from mmtjax.patterns.base import AbstractPattern as AbstractPattern
from mmtjax.patterns.fixed import FixedColumns as FixedColumns
