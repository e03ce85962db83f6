"""Samples too large to factor whole: windows that are solved one by one and iterated to agreement."""

from mmtjax.subdomains.invert import invert_subdomains as invert_subdomains
