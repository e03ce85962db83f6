"""The field of grains: closed form near, series far, and the choice between them."""

from mmtjax.field.columns import DEFAULT_TOLERANCE as DEFAULT_TOLERANCE
