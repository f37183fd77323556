"""What does a calibration look like as a file?

Every fit is written with its provenance. Where a chip has no measurements of a format, the file
says which fit stands in for it, how much less sure that is, and why.
"""

import datetime
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from jaxsim.catalog._calibration_kinds import VARIANTS
from jaxsim.catalog.calibration import ANY, FORMATS, OWN_KINDS
from jaxsim.catalog.errors import InputError
from jaxsim.truth.kernels.fit import Fitted

# Who stands in for a format that was not measured: the candidates in order, and the standard
# deviation of the log that standing in adds.
_WEIGHT_ONLY = 0.2
_STAND_IN: dict[str, dict[str, tuple[tuple[str, ...], float]]] = {
    "gemm": {
        "mxfp4": (("int4", "bf16"), _WEIGHT_ONLY),
        "int4": (("mxfp4", "bf16"), _WEIGHT_ONLY),
        "nvfp4": (("bf16",), 0.3),
        "fp8": (("fp8_block", "bf16"), 0.2),
        "fp8_block": (("fp8", "bf16"), 0.2),
    },
    "experts": {
        "mxfp4": (("int4", "bf16"), _WEIGHT_ONLY),
        "int4": (("mxfp4", "bf16"), _WEIGHT_ONLY),
        "nvfp4": (("mxfp4", "bf16"), 0.3),
        "fp8": (("fp8_block", "bf16"), 0.2),
        "fp8_block": (("fp8", "bf16"), 0.2),
    },
    "absorb": {"fp8": (("bf16",), 0.15)},
    "context": {"fp8": (("bf16",), 0.2)},
    "context_latent": {"fp8": (("bf16",), 0.2)},
    "decode": {"fp8": (("bf16",), 0.15)},
    "decode_latent": {"fp8": (("bf16",), 0.15)},
}
# What a family that was not measured at all adds when it is taken from another calibration.
_TAKEN_OVER = 0.05


def calibration_text(
    title: str,
    multiprocessors: float,
    fits: Sequence[Fitted],
    provenance: str,
    base: str | None = None,
    kinds: Iterable[str] = tuple(OWN_KINDS),
) -> str:
    """A calibration file with these fits; `provenance` names the collection and its version.

    Families and formats that were not measured come from the calibration `base`, where given, else
    from a format that stands in for them.
    """
    today = datetime.date.today().isoformat()
    by_key = {(fit.kind, fit.number_format): fit for fit in fits}
    sources: dict[str, str] = {}
    body = []
    for kind in kinds:
        for number_format in (*FORMATS.get(kind, (ANY,)), *VARIANTS.get(kind, ())):
            fit = by_key.get((kind, number_format))
            if fit is not None:
                name = f"{kind}_{number_format}" if kind in sources.values() else kind
                source = sources.setdefault(fit.source, name)
                body.append(_fit_text(fit, source))
            elif base is None and number_format not in VARIANTS.get(kind, ()):
                body.append(_stand_in_text(kind, number_format, by_key))
    head = [f"title = {_quoted(title)}", f"multiprocessors = {_number(multiprocessors)}"]
    if base is not None:
        head += [
            f"transferred_from = {_quoted(base)}",
            f"sigma = {_number(_TAKEN_OVER)}",
            'source = "taken_over"',
            "",
            "[sources.taken_over]",
            'kind = "assumed"',
            f"source = {_quoted(f'Not measured here: as in the calibration {base}')}",
            f"date = {today}",
        ]
    head.append("")
    for where, name in sources.items():
        head += [
            f"[sources.{name}]",
            'kind = "fitted"',
            f"source = {_quoted(f'Fit to {provenance}, {where}')}",
            f"date = {today}",
            "",
        ]
    if any('source = "stand_in"' in part for part in body):
        head += [
            "[sources.stand_in]",
            'kind = "assumed"',
            'source = "No measurements of this format on this chip: the constants of another"',
            f"date = {today}",
            "",
        ]
    return "\n".join([*head, *body])


def _fit_text(fit: Fitted, source: str) -> str:
    lines = [
        f"[{fit.kind}.{fit.number_format}]",
        f'source = "{source}"',
        f"rows = {fit.rows}",
        f"sigma = {_number(fit.sigma, 3)}",
    ]
    if fit.arithmetic:
        lines.append(f'arithmetic = "{fit.arithmetic}"')
    lines.append(f"errors = {_inline(fit.errors if fit.errors['n'] else {'n': 0}, 3)}")
    if fit.at_limit:
        lines.append(f'note = "at the end of the range allowed: {", ".join(fit.at_limit)}"')
    lines.append(f"free = [{', '.join(_quoted(name) for name in fit.free)}]")
    lines.append("covariance = [")
    for i, row in enumerate(fit.covariance):
        lines.append(f"  [{', '.join(_number(x, 2) for x in row[: i + 1])}],")
    lines += ["]", f"[{fit.kind}.{fit.number_format}.constants]"]
    lines += [f"{name} = {_number(value, 4)}" for name, value in fit.constants.items()]
    return "\n".join([*lines, ""])


def _stand_in_text(kind: str, number_format: str, by_key: Mapping[tuple[str, str], Fitted]) -> str:
    candidates, extra = _STAND_IN.get(kind, {}).get(number_format, ((), 0.0))
    for name in candidates:
        fit = by_key.get((kind, name))
        if fit is not None:
            lines = [
                f"[{kind}.{number_format}]",
                f'same_as = "{name}"',
                'source = "stand_in"',
                f"sigma = {_number(math.hypot(fit.sigma, extra), 3)}",
            ]
            return "\n".join([*lines, ""])
    raise InputError(
        f"Nothing was measured for {kind} in {number_format}, nor for what could stand in for it "
        f"({', '.join(candidates) or 'nothing can'}). Add such rows, or transfer a calibration."
    )


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _inline(values: dict[str, float], digits: int) -> str:
    return "{ " + ", ".join(f"{key} = {_number(x, digits)}" for key, x in values.items()) + " }"


def _number(value: float, digits: int = 6) -> str:
    """A number as TOML takes it, with so many significant digits."""
    if not np.isfinite(value):
        raise ValueError(f"{value} in a calibration")
    if float(value).is_integer() and abs(value) < 1e6:
        return str(int(value))
    text = f"{value:.{digits}g}"
    if "e" in text:
        mantissa, exponent = text.split("e")
        return f"{mantissa}e{int(exponent)}"
    return text
