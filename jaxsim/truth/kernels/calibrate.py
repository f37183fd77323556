"""How near do kernels come to a chip's datasheet, by measurement?

Reads measured launches, from the tables of `aiconfigurator-core` or from a CSV file, fits every
kernel form to those whose shapes are not held out, and writes a calibration with its provenance.
"""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path

from jaxsim._progress import Counted, tell
from jaxsim.catalog.calibration import read_calibration
from jaxsim.catalog.cards import HardwareCard
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.load import load_hardware
from jaxsim.truth.kernels.csv import csv_rows
from jaxsim.truth.kernels.file import calibration_text
from jaxsim.truth.kernels.fit import Fitted, fit_rows
from jaxsim.truth.kernels.rows import KernelRows
from jaxsim.truth.kernels.tables import (
    PACKAGE,
    Tables,
    absorb_rows,
    context_latent_rows,
    context_rows,
    decode_latent_rows,
    decode_rows,
    gemm_rows,
)
from jaxsim.truth.kernels.tables_moe import experts_rows, message_rows, stream_rows


def table_rows(root: Path, card: HardwareCard, engine: str = "trtllm") -> Iterator[KernelRows]:
    """Measured launches of every family, from the package's tables beneath `root`."""
    tables = Tables(root, card.name, engine)
    yield from gemm_rows(tables)
    yield from absorb_rows(tables)
    yield from experts_rows(tables, float(card.hardware.chip.hbm_bytes_per_s))
    yield from context_rows(tables)
    yield from context_latent_rows(tables)
    yield from decode_rows(tables)
    yield from decode_latent_rows(tables)
    yield from stream_rows(tables)
    yield from message_rows(tables)


def fit_all(
    rows: Iterable[KernelRows],
    card: HardwareCard,
    report: Callable[[str], None] = lambda line: None,
) -> list[Fitted]:
    """One fit for each family and format; `report` gets a line about each.

    Families with too few rows, or whose fit does not converge, are refused.
    """
    fits: list[Fitted] = []
    read: list[KernelRows] = []
    for some in rows:
        read.append(some)
        tell(Counted("reading", len(read), None, "kinds of kernels"))
    for some in read:
        tell(Counted("fitting", len(fits), len(read), "kinds of kernels"))
        fit = fit_rows(some, card.hardware)
        judged = fit.errors if fit.errors["n"] else fit.seen_errors
        report(
            f"{fit.kind} {fit.number_format}: {judged['n']} "
            f"{'unseen' if fit.errors['n'] else 'seen'} rows, "
            f"mean {judged['mean']:.1%}, median {judged['median']:.1%}, p90 {judged['p90']:.1%}"
        )
        fits.append(fit)
    if not fits:
        raise InputError(f"No rows of any kernel family were found for {card.name}.")
    return fits


def installed_tables() -> Path:
    """The folder of kernel tables of the installed package."""
    try:
        folder = metadata.distribution(PACKAGE).locate_file("aiconfigurator_core/systems/data")
    except metadata.PackageNotFoundError:
        raise InputError(
            f"{PACKAGE} is not installed, and no folder of its tables was given. "
            f"Install it (pip install {PACKAGE}) or name a folder or a CSV file."
        ) from None
    return Path(str(folder))


def calibrate(
    source: str | Path | None,
    chip: str | HardwareCard,
    output: str | Path,
    engine: str = "trtllm",
    report: Callable[[str], None] = lambda line: None,
) -> Path:
    """The calibration file written from measurements of one chip (see `fitted_text`).

    It is read back before it takes its final name, so that what exists is always complete.
    """
    return write_checked(Path(output), fitted_text(source, chip, engine, report))


def fitted_text(
    source: str | Path | None,
    chip: str | HardwareCard,
    engine: str = "trtllm",
    report: Callable[[str], None] = lambda line: None,
) -> str:
    """The text of a calibration file, from measurements of one chip.

    `source` is the folder `systems/data` of the package of tables (its installed one where None),
    or a CSV file with the columns `op shape dtype gpu metric value unit url kind notes`; what a CSV
    file does not measure is taken over from the chip's present calibration, as the file says.
    """
    card = load_hardware(chip) if isinstance(chip, str) else chip
    base = None
    where = installed_tables() if source is None else Path(source)
    if where.is_dir():
        rows: Iterable[KernelRows] = table_rows(where, card, engine)
        provenance = _tables_provenance(where)
    elif where.suffix.lower() == ".csv":
        rows = csv_rows(where, card)
        provenance, base = "measurements", card.calibration
    else:
        raise InputError(
            f"{where}: neither a folder of kernel tables nor a CSV file; give one of the two."
        )
    fits = fit_all(rows, card, report)
    title = f"{card.full_name}, {engine} kernels" if where.is_dir() else f"{card.full_name}"
    multiprocessors = float(card.hardware.chip.multiprocessors)
    return calibration_text(title, multiprocessors, fits, provenance, base)


def write_checked(path: Path, text: str) -> Path:
    """The path of a calibration file written whole, after its text was read back."""
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=".toml", dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        read_calibration(draft)
        draft.chmod(0o644)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def _tables_provenance(folder: Path) -> str:
    try:
        version = metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return f"{PACKAGE} (Apache-2.0)"
    return f"{PACKAGE} {version} (Apache-2.0)"
