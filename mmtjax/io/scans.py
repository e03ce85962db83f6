"""Read scans from a file of any known format."""

from mmtjax.errors import InputError
from mmtjax.io.dispatch import ReaderOption, call_reader, choose_format
from mmtjax.io.domainbounds import DomainBounds, crop_to_bounds, read_domainbounds
from mmtjax.io.mask import read_mask, with_mask
from mmtjax.io.matrix import read_matrix
from mmtjax.io.netcdf import check_companions, read_netcdf
from mmtjax.io.plausible import check_fill_values
from mmtjax.io.qdm import read_qdm
from mmtjax.io.qdmlab import read_qdmlab
from mmtjax.io.recognize import recognize
from mmtjax.io.text import AnyPath
from mmtjax.scan.scan import Scan

_READERS = {"text": read_matrix, "npy": read_matrix, "qdmlab": read_qdmlab, "qdm": read_qdm, "netcdf": read_netcdf}

#: What to do with files that belong to a map but are not a map.
_INSTEAD = {
    "dci-parameters": "it describes the sensors of a map: read the map, with this file as parameters=",
    "metadict": "it describes the sensors of a map: read the map, with this file as parameters=",
    "mask": "it is a mask: read the map, with this file as mask=",
    "domainbounds": "it is the window of a map: read the map, with this file as bounds=",
    "b111": "it is B111, in gauss, and not Bz; make Bz from it in QDMlab (QDMdataprocessing) and read the Bz_uc*.mat",
}


def read_scan(
    path: AnyPath,
    *,
    format: str | None = None,
    mask: AnyPath | None = None,
    mask_true_is: str | None = None,
    bounds: AnyPath | DomainBounds | None = None,
    frame: str | None = None,
    **options: ReaderOption,
) -> Scan:
    """Read a scan from a file, whose format is recognized by its contents.

    Parameters
    ----------
    path
        The file with the map of Bz.
    format
        ``"text"`` or ``"npy"`` (`read_matrix`), ``"qdmlab"`` (`read_qdmlab`), ``"qdm"`` (`read_qdm`) or
        ``"netcdf"`` (`read_netcdf`); by default the one that the file looks like.
    mask, mask_true_is
        Mask of the whole map, and what True means in it, see `read_mask`; without `mask`, what True means in the mask
        that a NetCDF file holds itself.
    bounds, frame
        Part of the map to keep, as `read_domainbounds` reads it, and the frame of its coordinates, ``"map"`` by
        default, see `crop_to_bounds`.
    **options
        Options of the reader of the format: for a bare matrix ``parameters``, or ``unit``, ``spacing`` and ``height``.
        None stands for an option that is not given.

    Raises
    ------
    FileNotFoundError
        If a file does not exist.
    ValueError
        If the file does not look like a map or the reader of its format refuses it, for an option that the format does
        not have, for a mask or bounds that do not fit, and for a value of used pixels that stands for a missing one and
        is not declared.
    """
    candidates = () if format is not None else recognize(path)
    if candidates and candidates[0] in _INSTEAD:
        msg = f"{path} is not a map of Bz: {_INSTEAD[candidates[0]]}"
        raise InputError(msg)
    candidates = tuple(kind for kind in candidates if kind in _READERS) or candidates
    chosen = choose_format(path, tuple(_READERS), format=format, candidates=candidates, what="a map")
    if mask is None and mask_true_is is not None:
        if chosen != "netcdf":
            msg = f"{path}: mask_true_is={mask_true_is!r} says how to read a mask, but no mask is given; pass mask="
            raise InputError(msg)
        options["mask_true_is"] = mask_true_is
    if bounds is None and frame is not None:
        msg = f"{path}: frame={frame!r} says how to read bounds, but no bounds are given; pass bounds="
        raise InputError(msg)
    if chosen == "netcdf" and (mask is not None or bounds is not None):
        variable = options.get("variable")
        check_companions(path, mask=mask is not None, variable=None if variable is None else str(variable))
    scan = call_reader(_READERS[chosen], path, options, format=chosen)
    if mask is not None:
        scan = with_mask(scan, read_mask(mask, mask_true_is=mask_true_is, shape=scan.grid.shape))
    if bounds is not None:
        window = bounds if isinstance(bounds, DomainBounds) else read_domainbounds(bounds)
        scan = crop_to_bounds(scan, window, frame=frame or "map")
    return check_fill_values(scan, path=path)
