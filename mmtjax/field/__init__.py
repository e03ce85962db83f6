"""The field of grains: closed form near, series far, and the choice between them."""

from mmtjax.field.plan import DEFAULT_TOLERANCE as DEFAULT_TOLERANCE
