"""What is in the slice of rock."""

from mmtjax.rock.grains import Grains as Grains
