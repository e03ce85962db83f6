"""Inversion of samples too large for one factorization: overlapping windows, solved in turn until they converge."""

from mmtjax.subdomains.invert import invert_subdomains as invert_subdomains
