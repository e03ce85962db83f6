"""The registration of a map with its grains: standoff, shift and rotation, fitted by variable projection."""

from mmtjax.registration.registration import Registration as Registration
from mmtjax.registration.registration import fit_registration as fit_registration
