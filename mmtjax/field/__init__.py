"""The field of sources: a closed form nearby, a series far away, and the choice between the two."""

from mmtjax.field.plan import DEFAULT_TOLERANCE as DEFAULT_TOLERANCE
