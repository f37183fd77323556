"""Which requests do the clients of a ServeGen folder send?

ServeGen keeps, for each client of a service, a rate and the law of its gaps by the quarter of an
hour or so (`chunk-N-trace.csv`: start, requests/s, cv, law, shape, scale) and the distributions of
lengths (`chunk-N-dataset.json`: by start of a window, {tokens: probability}). Requests are drawn.
"""

import csv
import re
import tarfile
from pathlib import Path

import numpy as np

from jaxsim.catalog.documents import decode_json, read_text
from jaxsim.catalog.errors import InputError
from jaxsim.traffic.read.requests import Requests, requests_of

_PAIR = re.compile(r"(\d+)(?:\.0)?\s*:\s*([0-9.eE+-]+)")
_FILE = re.compile(r"chunk-(\w+)-(trace\.csv|dataset\.json)$")
MOST_FILE_BYTES = 1 << 28


def read_servegen(path: Path, seed: int = 0) -> Requests:
    """Requests drawn, with a seed, from the clients of a folder or of an archive of one."""
    texts = _texts(path)
    clients = sorted({name for name, kind in texts if kind == "trace.csv"})
    if not clients:
        raise InputError(f"{path}: no chunk-N-trace.csv; is it a ServeGen folder?")
    generator = np.random.default_rng(seed)
    parts = []
    for client in clients:
        if (client, "dataset.json") not in texts:
            raise InputError(
                f"{path}: chunk-{client}-trace.csv has no chunk-{client}-dataset.json."
            )
        windows = _windows(f"chunk-{client}-trace.csv", texts[client, "trace.csv"])
        times = _arrivals(windows, generator)
        if len(times):
            lengths = _Lengths(client, texts[client, "dataset.json"])
            parts.append((times, *lengths.drawn(times, generator)))
    if not parts:
        raise InputError(f"{path}: no client sends a request.")
    times, isl, osl = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return requests_of(times, isl, osl, name=path.name, sort=True)


def _texts(path: Path) -> dict[tuple[str, str], str]:
    """Texts of the files of a folder or an archive, by client and kind; nothing is unpacked."""
    texts = {}
    if path.is_dir():
        for file in sorted(path.iterdir()):
            if match := _FILE.search(file.name):
                texts[match[1], match[2]] = read_text(file, MOST_FILE_BYTES, errors="replace")
        return texts
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                match = _FILE.search(member.name)
                if match is None or not member.isfile():
                    continue
                if member.size > MOST_FILE_BYTES:
                    raise InputError(f"{path}: {member.name} is larger than 256 MiB.")
                data = archive.extractfile(member)
                if data is None:
                    continue
                texts[match[1], match[2]] = data.read().decode("utf-8", "replace")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise InputError(f"{path}: not a whole archive: {error}.") from None
    except Exception as error:  # lzma has an error of its own, which need not be importable
        if type(error).__name__ != "LZMAError":
            raise
        raise InputError(f"{path}: the archive is cut off or damaged: {error}.") from None
    return texts


def _windows(name: str, text: str) -> np.ndarray:
    """Rows of start, end, rate, law (1 Gamma, 2 Weibull, 0 none) and shape."""
    rows = []
    for number, row in enumerate(csv.reader(text.splitlines()), 1):
        if not row:
            continue
        try:
            start, rate, cv = float(row[0]), float(row[1]), float(row[2])
            law = row[3].strip()
            shape = float(row[4]) if law else 1.0
        except (ValueError, IndexError):
            raise InputError(
                f"{name}, line {number}: expected start, rate, cv, law, shape, scale; got "
                f"{','.join(row)[:80]!r}."
            ) from None
        laws = {"": 0.0, "Gamma": 1.0, "Weibull": 2.0}
        if law not in laws or not np.isfinite([start, rate, cv, shape]).all() or rate < 0.0:
            raise InputError(f"{name}, line {number}: rate {rate:g}, law {law!r}: impossible.")
        rows.append((start, rate, laws[law], max(shape, 1e-3)))
    if len(rows) < 2:
        raise InputError(f"{name}: at least two windows are needed.")
    table = np.asarray(rows)
    if (np.diff(table[:, 0]) <= 0.0).any():
        raise InputError(f"{name}: windows are not in the order of time.")
    ends = np.append(table[1:, 0], 2.0 * table[-1, 0] - table[-2, 0])
    return np.column_stack([table[:, 0], ends, table[:, 1:]])


def _arrivals(windows: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A renewal process in each window, with its rate and law of gaps."""
    times = []
    for start, end, rate, law, shape in windows:
        if rate <= 0.0:
            continue
        length = end - start
        count = int(rate * length + 10.0 * np.sqrt(rate * length + 1.0) + 10)
        if law == 2.0:
            gaps = generator.weibull(shape, count) / (rate * _gamma(1.0 + 1.0 / shape))
        else:
            shape = shape if law == 1.0 else 1.0
            gaps = generator.gamma(shape, 1.0 / (shape * rate), count)
        gaps[0] *= generator.random()  # a window opens somewhere within a gap
        own = start + np.cumsum(gaps)
        times.append(own[own < end])
    return np.concatenate(times) if times else np.zeros(0)


def _gamma(value: float) -> float:
    from math import gamma

    return gamma(value)


class _Lengths:
    """Distributions of a client's lengths, by window."""

    def __init__(self, client: str, text: str):
        name = f"chunk-{client}-dataset.json"
        try:
            windows = decode_json(text)
            if not isinstance(windows, dict):
                raise ValueError("no object")
            pairs = sorted((float(start), window) for start, window in windows.items())
        except (ValueError, AttributeError):
            raise InputError(f"{name}: not a JSON object by start of window.") from None
        self.windows = []
        for start, window in pairs:
            tables = [_distribution(window.get(key)) for key in ("input_tokens", "output_tokens")]
            if all(table is not None for table in tables):
                self.windows.append((start, *tables))
        if not self.windows:
            raise InputError(f"{name}: it sends requests, and no window has their lengths.")

    def drawn(self, times: np.ndarray, generator: np.random.Generator):
        """Input and output lengths at these times; of the last window with any before, if none."""
        starts = np.asarray([window[0] for window in self.windows])
        place = np.clip(np.searchsorted(starts, times, side="right") - 1, 0, None)
        isl, osl = np.zeros(len(times)), np.zeros(len(times))
        for index, (_, inputs, outputs) in enumerate(self.windows):
            own = place == index
            for target, (tokens, chances) in ((isl, inputs), (osl, outputs)):
                target[own] = generator.choice(tokens, own.sum(), p=chances)
        return isl, osl


def _distribution(text: str | None):
    """Lengths of at least 1 and their probabilities; None where there are none."""
    pairs = [(int(a), float(b)) for a, b in _PAIR.findall(text or "") if int(a) >= 1]
    chances = np.asarray([chance for _, chance in pairs])
    if not len(pairs) or not np.isfinite(chances).all() or chances.sum() <= 0.0:
        return None
    return np.asarray([tokens for tokens, _ in pairs]), chances / chances.sum()
