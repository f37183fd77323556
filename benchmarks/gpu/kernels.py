"""How long do a card's own matrix products and attentions take, measured here?

    python3 -m benchmarks.gpu.kernels FILE.csv [--seconds 60]

PyTorch calls cuBLAS, cuDNN and FlashAttention; each launch is captured in a CUDA graph that
reads other weights each time, so that neither a launch from the host nor the L2 cache is in it.
The file has the columns that `jaxsim calibrate` and `benchmarks.accuracy.own` read. No fit has
seen these launches: they judge fits to other people's tables.
"""

import argparse
import csv
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

TOKENS = (1, 4, 16, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
# Outputs and inputs of projections: Llama-3 8B, 70B on one GPU and on four, DeepSeek-R1.
WEIGHTS = (
    (6144, 4096), (4096, 4096), (28672, 4096), (4096, 14336),
    (10240, 8192), (8192, 8192), (57344, 8192), (8192, 28672),
    (2560, 8192), (8192, 2048), (14336, 8192), (8192, 7168),
    (2112, 7168), (24576, 1536), (7168, 16384), (4096, 7168), (7168, 2048),
)  # fmt: skip
HEADS = ((32, 8), (64, 8), (16, 2), (8, 1))
DIM = 128
L2_BYTES = 128e6  # more than any card's L2: what a graph reads between two uses of one weight
COLUMNS = ("op", "shape", "dtype", "gpu", "metric", "value", "unit", "url", "kind", "notes")

Launch = Callable[[], Any]


class Row(NamedTuple):
    """One measured launch."""

    op: str
    shape: str
    dtype: str
    seconds: float
    library: str


def seconds_of(torch: Any, launches: list[Launch]) -> float:
    """Seconds of one launch: the median over replays of a graph of all of them."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for launch in launches:
            launch()
    torch.cuda.current_stream().wait_stream(stream)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kept = [launch() for launch in launches]
    graph.replay()
    seconds = replay_s(torch, graph, most=30, enough_s=0.02)
    del kept
    return seconds / len(launches)


def replay_s(torch: Any, graph: Any, most: int, enough_s: float) -> float:
    """Seconds of one replay: the median of five, or of up to `most` within `enough_s`."""
    measured: list[float] = []
    begin = time.perf_counter()
    while len(measured) < 5 or (len(measured) < most and time.perf_counter() - begin < enough_s):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        measured.append(start.elapsed_time(end) * 1e-3)
    return statistics.median(measured)


def chip_of(name: str) -> str:
    """The chip in a device's name: H100 of `NVIDIA H100 80GB HBM3`."""
    return next(word for word in name.split() if word[0] in "HB" and word[1:].isdigit())


def fastest(torch: Any, ways: dict[str, list[Launch]]) -> tuple[float, str]:
    """The fastest of several libraries that do the same, and its name.

    Raises:
        RuntimeError: If none of them runs.
    """
    times: list[tuple[float, str]] = []
    refused = ""
    for name, launches in ways.items():
        try:
            times.append((seconds_of(torch, launches), name))
        except Exception as error:  # each library refuses other shapes, in words of its own
            refused = f"{name}: {str(error).splitlines()[0]}"
            torch.cuda.synchronize()
    if not times:
        raise RuntimeError(refused)
    return min(times)


def products(torch: Any) -> Iterator[Row]:
    """Matrix products in BF16, in FP8 with one scale a tensor, and with one a block of 128.

    In FP8 a `gemm` makes its activations from BF16 first, in a kernel of its own, as it does in
    the tables that calibrations are fitted to; `gemm_alone` does not.
    """
    device, wide, narrow = "cuda", torch.bfloat16, torch.float8_e4m3fn
    for n, k in WEIGHTS:
        copies = max(2, int(L2_BYTES / (n * k)) + 1)
        copies = min(copies, 16)
        weights = [torch.randn(n, k, device=device, dtype=wide) for _ in range(copies)]
        eighth = [weight.to(narrow) for weight in weights]
        one = torch.ones((), device=device)
        for m in TOKENS:
            rows = torch.randn(m, k, device=device, dtype=wide)
            rows8 = rows.to(narrow)
            per_row = torch.ones(k // 128, m, device=device).t()
            per_block = torch.ones(n // 128, k // 128, device=device).t()

            def quantised(weight: Any, rows: Any = rows, one: Any = one) -> Any:
                small = rows.to(narrow)
                return torch._scaled_mm(
                    small, weight.t(), one, one, out_dtype=wide, use_fast_accum=True
                )

            ways: dict[str, list[Launch]] = {
                "bfloat16": [partial(torch.matmul, rows, w.t()) for w in weights],
                "quantised": [partial(quantised, w) for w in eighth],
                "fp8": [
                    partial(
                        torch._scaled_mm, rows8, w.t(), one, one,
                        out_dtype=wide, use_fast_accum=True,
                    )
                    for w in eighth
                ],
                "fp8_block": [
                    partial(torch._scaled_mm, rows8, w.t(), per_row, per_block, out_dtype=wide)
                    for w in eighth
                ],
            }  # fmt: skip
            for dtype, launches in ways.items():
                if dtype == "fp8_block" and (n % 128 or k % 128 or m < 4):
                    continue
                op = "gemm" if dtype in ("bfloat16", "quantised") else "gemm_alone"
                dtype = "fp8" if dtype == "quantised" else dtype
                yield from _row(torch, op, f"m={m},n={n},k={k}", dtype, {"cuBLAS": launches})
        del weights, eighth


def attentions(torch: Any) -> Iterator[Row]:
    """Causal attention over a prompt, and one step's over a cache, in BF16."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    attend = torch.nn.functional.scaled_dot_product_attention
    backends = {"cuDNN": SDPBackend.CUDNN_ATTENTION, "FlashAttention": SDPBackend.FLASH_ATTENTION}

    def on(backend: Any, *arrays: Any, **options: Any) -> Any:
        with sdpa_kernel(backend):
            return attend(*arrays, **options)

    def randn(*shape: int) -> Any:
        return torch.randn(*shape, device="cuda", dtype=torch.bfloat16)

    for heads, kv_heads in HEADS:
        group = heads // kv_heads
        head = f"{heads} q heads,{kv_heads} kv heads,d{DIM}"
        for batch, length in ((1, 512), (1, 1024), (4, 1024), (1, 2048), (1, 4096), (4, 4096),
                              (1, 8192), (1, 16384), (1, 32768)):  # fmt: skip
            query = randn(batch, heads, length, DIM)
            keys, values = randn(batch, kv_heads, length, DIM), randn(batch, kv_heads, length, DIM)
            wide = [x.repeat_interleave(group, dim=1) for x in (keys, values)]
            ways = {
                f"{name}, {how}": [partial(on, b, query, *kv, is_causal=True, enable_gqa=g)] * 2
                for name, b in backends.items()
                for how, kv, g in (("grouped", (keys, values), True), ("repeated", wide, False))
            }
            shape = f"batch={batch},len={length},{head},causal"
            yield from _row(torch, "gqa_prefill_attention", shape, "bfloat16", ways)
        for batch in (1, 4, 16, 64, 128, 256):
            for length in (1024, 4096, 8192, 32768):
                size = 2.0 * batch * kv_heads * length * DIM * 2
                if size > 16e9:
                    continue
                caches = [
                    (randn(batch, kv_heads, length, DIM), randn(batch, kv_heads, length, DIM))
                    for _ in range(min(16, max(2, int(L2_BYTES / size) + 1)))
                ]
                # The queries of one group are rows of one product: nothing masks them.
                query = randn(batch, kv_heads, group, DIM)
                ways = {
                    name: [partial(on, b, query, *kv) for kv in caches]
                    for name, b in backends.items()
                }
                shape = f"batch={batch},kv_len={length},{head}"
                dtype = "bfloat16/kv bfloat16"
                yield from _row(torch, "gqa_decode_attention", shape, dtype, ways)


def copies(torch: Any) -> Iterator[Row]:
    """Copies within the card's memory: what an add or a norm can reach."""
    for size in (2**20, 2**23, 2**26, 2**29, 2**32):
        pairs = [
            tuple(torch.empty(size, device="cuda", dtype=torch.uint8) for _ in range(2))
            for _ in range(min(16, max(2, int(L2_BYTES / size) + 1)))
        ]
        launches = [partial(b.copy_, a) for a, b in pairs]
        yield from _row(torch, "copy", f"message_size={size}", "uint8", {"PyTorch": launches})


def experts(torch: Any) -> Iterator[Row]:
    """The two grouped products of DeepSeek-R1's experts on one of eight GPUs, equal loads."""
    count, hidden, inner, narrow = 32, 7168, 2048, torch.float8_e4m3fn
    shapes = ((2 * inner, hidden), (hidden, inner))
    weights = [
        torch.randn(count, n, k, device="cuda", dtype=torch.bfloat16) * 0.02 for n, k in shapes
    ]
    eighth = [weight.to(narrow) for weight in weights]
    for tokens in (1, 4, 16, 64, 128, 256, 512, 1024, 4096):
        ends = torch.arange(1, count + 1, device="cuda", dtype=torch.int32) * tokens
        for (n, k), wide, small in zip(shapes, weights, eighth, strict=True):
            rows = torch.randn(count * tokens, k, device="cuda", dtype=torch.bfloat16)
            rows8 = rows.to(narrow)
            by_row = torch.ones(count * tokens, device="cuda")
            by_column = torch.ones(count, n, device="cuda")
            ways: dict[str, list[Launch]] = {
                "bfloat16": [partial(torch._grouped_mm, rows, wide.transpose(1, 2), offs=ends)] * 2,
                "fp8": [
                    partial(
                        torch._scaled_grouped_mm, rows8, small.transpose(1, 2), by_row, by_column,
                        offs=ends, out_dtype=torch.bfloat16, use_fast_accum=True,
                    )
                ] * 2,
            }  # fmt: skip
            shape = f"experts={count},m={tokens},n={n},k={k}"
            for dtype, launches in ways.items():
                yield from _row(torch, "grouped_gemm", shape, dtype, {"CUTLASS": launches})


def _row(
    torch: Any, op: str, shape: str, dtype: str, ways: dict[str, list[Launch]]
) -> Iterator[Row]:
    """One measurement of the fastest library, or nothing and a word on why."""
    try:
        seconds, library = fastest(torch, ways)
    except RuntimeError as error:
        print(f"{op} {dtype} {shape}: {error}", file=sys.stderr)
        return
    yield Row(op, shape, dtype, seconds, library)


def main() -> None:
    """Measure, and write what there was time for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=90.0, help="begin nothing after so long")
    arguments = parser.parse_args()
    import torch

    name = torch.cuda.get_device_name()
    gpu = f"{chip_of(name)} SXM"
    version = f"PyTorch {torch.__version__}, CUDA {torch.version.cuda}, {name}"
    begin = time.perf_counter()
    rows: list[Row] = []
    for group in (copies, experts, attentions, products):
        for row in group(torch):
            rows.append(row)
            if time.perf_counter() - begin > arguments.seconds:
                print(f"out of time in {group.__name__}", file=sys.stderr)
                break
        print(f"[{time.perf_counter() - begin:6.1f} s] {group.__name__}: {len(rows)} launches")
    with arguments.out.open("w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(COLUMNS)
        for row in rows:
            out.writerow((row.op, row.shape, row.dtype, gpu, "latency", f"{row.seconds * 1e6:.4g}",
                          "us", "", "measured", f"{row.library}; {version}"))  # fmt: skip
    print(f"{len(rows)} launches in {arguments.out}")


if __name__ == "__main__":
    main()
