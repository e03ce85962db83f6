"""The run-time checker of annotations: an int will do for a float, as for every static checker."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
