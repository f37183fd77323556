"""Which file holds runs whose requests arrive over time, and what are they?"""

import csv
from pathlib import Path

from jaxsim.truth.arrivals import log, table
from jaxsim.truth.arrivals.table import ArrivalRun
from jaxsim.truth.read.clients.stated import Stated
from jaxsim.truth.read.table import read_lines


def holds_arrivals(path: Path) -> bool:
    """Whether it is a table of runs at arrival rates, a log of requests, or a folder of logs."""
    if path.is_dir():
        return bool(_logs(path))
    if log.is_log(path):
        return True
    if path.suffix.lower() != ".csv":
        return False
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header = next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return False  # the reader of other tables says what is wrong
    return table.is_arrivals([name.strip() for name in header])


def read_arrivals(path: Path, stated: Stated) -> list[ArrivalRun]:
    """The runs of such a file or folder."""
    if path.is_dir():
        return [log.read(one, stated) for one in _logs(path)]
    if log.is_log(path):
        return [log.read(path, stated)]
    columns, lines = read_lines(path)
    return table.read(path, columns, lines)


def _logs(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{log.SUFFIX}"))
