"""Magnetometers: what their noise is, and how long a map takes."""

from mmtjax.design.instruments.base import AbstractInstrument as AbstractInstrument
from mmtjax.design.instruments.diamond_microscope import QuantumDiamondMicroscope as QuantumDiamondMicroscope
from mmtjax.design.instruments.scanning_squid import ScanningSquid as ScanningSquid

#: Instruments by their names in the configuration of a design.
INSTRUMENTS: dict[str, type[AbstractInstrument]] = {
    instrument.kind: instrument for instrument in (ScanningSquid, QuantumDiamondMicroscope)
}
