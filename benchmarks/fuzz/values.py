"""What is put where something else belongs?"""

import random

_LONG = "9" * 5000
# Of command lines, and of cells of tables.
TEXTS = (
    "", " ", ",", "0", "-0", "-1", "1", "2", "0.5", "2.5", "1e3", "1e30", "1e-30", "1e309",
    "-1e309",
    "1e999999999", "nan", "-nan", "inf", "-inf", "Infinity", "NaN", _LONG, f"1.{_LONG}",
    f"1e{_LONG}",
    f"-{_LONG}", "0x10", "1_000", "１２", "٣", "1,2,,", "1,1,1", "1,2,x", "1..", "..1", "2..1",
    "1..2", "1..2:9",
    "1..2000000000:2000000000", "1..1e9", "1024..65536:64", "5%", "200%", "-5%", "1e400%", "1ms",
    "1 ms", "50m", "1e400ms", "0ms", "1e-400s", "1h", "1fortnight", "exactly:", "exactly:0",
    "exactly:64", "exactly:exactly:1", "a=b", "=", "==", "a=", "h200=", "h200=nan", "h200=1e309",
    "tp=1", "tp=0", "tp=,", "instances=1e9", "x1e400", "+1e400%", "hbm_bytes_per_s=+20%",
    "hbm_bytes_per_s=x1e308", "ttl=nan", "isl=1..2", "isl=2..1", "imbalance=1..1e400", "cost=+10%",
    "decode@5min", "decode@", "@", "@file", "prefill@1s,count=0", "true", "None", "null", "[]",
    "{}", "%s", "%(prog)s", "{0}", "{}{}{}", "\\", "'", '"', "`id`", "$(id)", ";ls", "|", "&", "\n",
    "\t", "\r\n", "\x1b[31mred", "\x07", "\x00", "\x7f", "\x9b31m", "\u202egpj", "\ufeff",
    "\ud800", "é", "日本語", "🙂", "=cmd|'/C calc'!A0", "+1+1", "@SUM(1)", "-2+3", "~", "~nouser/x",
    "~root",
    ".", "..", "/", "/dev/null", "/dev/zero", "/proc/self/mem", "/root", "//", "a" * 300,
    "a" * 5000, "a/" * 3000, "file:///etc/passwd", "http://localhost", "h100", "h100,h200",
    "h100,h100", "H100",
    "llama-3.1-8b", "deepseek-r1", "ideal", "vllm", "trtllm", "bf16", "fp8", "nvfp4", "checkpoint",
    "-", "--", "-x", "--help", "--version", "--format=json", "json", "text", "dynamo", "static",
    "uniform:1:2", "uniform:2:1", "lognormal:1e30:9", "lognormal:1:nan", "exponential:0",
)  # fmt: skip
# Of documents.
VALUES = (
    None, True, False, 0, -1, 1, 2.5, 1e30, 1e308, -1e308, 1e-308, float("inf"), float("-inf"),
    float("nan"), 10**18, 10**40, 10**310, -(10**310), "", " ", "1", "nan", "x", "a" * 5000,
    "\x1b[31m", "\ud800", "é", "\x00", "~nouser/x", "../../etc/passwd", "/dev/zero", "=1+1", [],
    [[]], {},
    [1], [1, 2, 3], ["a"], [None], {"a": 1}, {"": {}}, [{}], {"value": 1}, "re:(.+)+~$", "*",
    "re:(",
)  # fmt: skip


def text(chosen: random.Random) -> str:
    """A text that is likely to be wrong, from the list or made of two of it."""
    one = chosen.choice(TEXTS)
    how = chosen.random()
    if how < 0.75:
        return one
    if how < 0.85:
        return one + chosen.choice(TEXTS)
    if how < 0.93:
        return f"{one},{chosen.choice(TEXTS)}"
    return "".join(chr(chosen.choice((chosen.randrange(1, 128), chosen.randrange(1, 0xD7FF))))
                   for _ in range(chosen.randrange(1, 12)))  # fmt: skip


def deep(chosen: random.Random) -> object:
    """A value that may be nested very deep."""
    if chosen.random() < 0.95:
        return chosen.choice(VALUES)
    result: object = 1
    for _ in range(chosen.choice((90, 150, 2000))):
        result = [result] if chosen.random() < 0.5 else {"a": result}
    return result


def changed(given: object, chosen: random.Random, times: int) -> object:
    """A document with some of its parts replaced, left out, renamed or doubled."""
    for _ in range(times):
        given = _one(given, chosen)
    return given


def _one(given: object, chosen: random.Random) -> object:
    if chosen.random() < 0.25 or not isinstance(given, dict | list) or not given:
        if chosen.random() < 0.7 and isinstance(given, int | float) and not isinstance(given, bool):
            return _scaled(given, chosen)
        return deep(chosen)
    if isinstance(given, dict):
        keys = list(given)
        key = chosen.choice(keys)
        how = chosen.random()
        if how < 0.8:
            return given | {key: _one(given[key], chosen)}
        if how < 0.9:
            return {k: v for k, v in given.items() if k != key}
        other = chosen.choice((text(chosen), f"{key}x", chosen.choice(keys)))
        return given | {other: given[key]}
    place = chosen.randrange(len(given))
    how = chosen.random()
    if how < 0.7:
        return [*given[:place], _one(given[place], chosen), *given[place + 1 :]]
    if how < 0.85:
        return [*given[:place], *given[place + 1 :]]
    return [*given, given[place]]


def _scaled(given: float, chosen: random.Random) -> object:
    factor = chosen.choice((-1, 0, 0.5, 3, 1000, 1e-9, 1e9, 1e200))
    try:
        return given * factor
    except OverflowError:
        return factor


def torn(raw: bytes, chosen: random.Random) -> bytes:
    """Bytes with a few of them changed: cut, flipped, doubled, or replaced by others."""
    for _ in range(chosen.randrange(1, 4)):
        if not raw:
            return raw
        start = chosen.randrange(len(raw))
        stop = min(len(raw), start + chosen.choice((1, 1, 4, 40)))
        how = chosen.random()
        if how < 0.15:
            raw = raw[:start]
        elif how < 0.4:
            raw = raw[:start] + bytes([chosen.randrange(256)]) + raw[start + 1 :]
        elif how < 0.55:
            raw = raw[:start] + raw[stop:]
        elif how < 0.7:
            raw = raw[:stop] + raw[start:]
        else:
            put = text(chosen).encode("utf-8", "surrogatepass")
            raw = raw[:start] + put + raw[stop:]
    return raw
