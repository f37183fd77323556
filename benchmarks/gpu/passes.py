"""How long does a whole pass of a dense transformer take on this card, with no engine around it?

    python3 -m benchmarks.gpu.passes FILE.csv [--seconds 60]

A decode step or a prefill pass of all layers, with random weights of the model's sizes: cuBLAS
products, attention by cuDNN or FlashAttention (whichever is faster), and three fused kernels in
Triton (add and norm; rotation and write to the cache; SiLU times gate). The pass is one CUDA
graph, so that a host's launches are not in it. Two layers are checked first: a step over the
cache that a prefill wrote gives the logits of a prefill that is one token longer.

No fit has seen these passes; `python -m benchmarks.accuracy.own` predicts them.
"""

import argparse
import csv
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.gpu.kernels import chip_of, replay_s

COLUMNS = ("model", "gpu", "phase", "precision", "batch", "length", "seconds", "notes")
LIBRARIES = {
    "cuDNN": SDPBackend.CUDNN_ATTENTION,
    "FlashAttention": SDPBackend.FLASH_ATTENTION,
}
WIDE = torch.bfloat16
ROTATED = 500000.0  # base of the rotation's angles; its value costs no time
SAME = 0.03  # relative difference of logits in BF16, of one token by two ways


class Sizes(NamedTuple):
    """A dense transformer's sizes, as its published configuration has them."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    dim: int
    inner: int
    vocabulary: int


MODELS = {
    "llama-3.1-8b": Sizes(32, 4096, 32, 8, 128, 14336, 128256),
    "qwen3-32b": Sizes(64, 5120, 64, 8, 128, 25600, 151936),
}


@triton.jit
def _add_norm(x, residual, weight, out, width: tl.constexpr, block: tl.constexpr):
    row = tl.program_id(0)
    at = tl.arange(0, block)
    inside = at < width
    total = tl.load(x + row * width + at, inside, 0.0).to(tl.float32)
    total += tl.load(residual + row * width + at, inside, 0.0).to(tl.float32)
    tl.store(residual + row * width + at, total.to(tl.bfloat16), inside)
    scale = tl.rsqrt(tl.sum(total * total) / width + 1e-6)
    gain = tl.load(weight + at, inside, 0.0).to(tl.float32)
    tl.store(out + row * width + at, (total * scale * gain).to(tl.bfloat16), inside)


@triton.jit
def _silu_gate(both, out, width, block: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * block + tl.arange(0, block)
    inside = at < width
    gate = tl.load(both + row * 2 * width + at, inside, 0.0).to(tl.float32)
    up = tl.load(both + row * 2 * width + width + at, inside, 0.0).to(tl.float32)
    tl.store(out + row * width + at, (gate * tl.sigmoid(gate) * up).to(tl.bfloat16), inside)


@triton.jit
def _rotate_and_keep(
    qkv, angles, keys, values, length, begin, room,
    heads: tl.constexpr, kv_heads: tl.constexpr, dim: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1)
    half: tl.constexpr = dim // 2
    at = tl.arange(0, half)
    own = qkv + row * (heads + 2 * kv_heads) * dim + head * dim
    place = begin + row % length
    low = tl.load(own + at).to(tl.float32)
    high = tl.load(own + half + at).to(tl.float32)
    if head < heads + kv_heads:
        angle = tl.load(angles + place * half + at)
        cosine = tl.cos(angle)
        sine = tl.sin(angle)
        turned = low * cosine - high * sine
        high = high * cosine + low * sine
        low = turned
        tl.store(own + at, low.to(tl.bfloat16))
        tl.store(own + half + at, high.to(tl.bfloat16))
    if head >= heads:
        group = (head - heads) % kv_heads
        offset = (((row // length) * kv_heads + group) * room + place) * dim
        if head < heads + kv_heads:
            tl.store(keys + offset + at, low.to(tl.bfloat16))
            tl.store(keys + offset + half + at, high.to(tl.bfloat16))
        else:
            tl.store(values + offset + at, low.to(tl.bfloat16))
            tl.store(values + offset + half + at, high.to(tl.bfloat16))


class Transformer:
    """Random weights, and one pass over them."""

    def __init__(self, sizes: Sizes, layers: int | None = None) -> None:
        self.sizes = sizes
        kinds = sizes.heads + 2 * sizes.kv_heads
        shapes = {
            "qkv": (kinds * sizes.dim, sizes.hidden),
            "out": (sizes.hidden, sizes.heads * sizes.dim),
            "up": (2 * sizes.inner, sizes.hidden),
            "down": (sizes.hidden, sizes.inner),
        }
        self.layers = [
            {
                **{name: self._random(*shape) for name, shape in shapes.items()},
                "first": torch.ones(sizes.hidden, device="cuda", dtype=WIDE),
                "second": torch.ones(sizes.hidden, device="cuda", dtype=WIDE),
            }
            for _ in range(layers or sizes.layers)
        ]
        self.embedding = torch.randn(sizes.vocabulary, sizes.hidden, device="cuda", dtype=WIDE)
        self.head = self._random(sizes.vocabulary, sizes.hidden)
        self.last = torch.ones(sizes.hidden, device="cuda", dtype=WIDE)
        turns = torch.arange(sizes.dim // 2, device="cuda") * (2.0 / sizes.dim)
        place = torch.arange(65536, device="cuda")[:, None]
        self.angles = (place * ROTATED**-turns).float().contiguous()

    @staticmethod
    def _random(rows: int, columns: int) -> torch.Tensor:
        return torch.randn(rows, columns, device="cuda", dtype=WIDE) / columns**0.5

    def cache(self, batch: int, room: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Keys and values of every layer, for so many tokens of each sequence."""
        shape = (batch, self.sizes.kv_heads, room, self.sizes.dim)
        return [
            tuple(torch.randn(shape, device="cuda", dtype=WIDE) for _ in range(2))
            for _ in self.layers
        ]

    def __call__(self, tokens: torch.Tensor, cache: Any, begin: int, backend: Any) -> torch.Tensor:
        """Logits of each sequence's last token.

        Args:
            tokens: Token numbers, `(batch, length)`.
            cache: Keys and values, which the pass writes from position `begin` on.
            begin: Tokens of each sequence already in the cache: 0, or all for one more.
            backend: The library of attention.
        """
        s, (batch, length) = self.sizes, tokens.shape
        rows, kinds, group = batch * length, s.heads + 2 * s.kv_heads, s.heads // s.kv_heads
        x = self.embedding[tokens.reshape(-1)]
        residual = torch.zeros_like(x)
        normed = torch.empty_like(x)
        block = triton.next_power_of_2(s.hidden)
        for layer, (keys, values) in zip(self.layers, cache, strict=True):
            room = keys.shape[2]
            _add_norm[(rows,)](x, residual, layer["first"], normed, s.hidden, block, num_warps=8)
            qkv = normed @ layer["qkv"].t()
            _rotate_and_keep[(rows, kinds)](
                qkv, self.angles, keys, values, length, begin, room,
                s.heads, s.kv_heads, s.dim, num_warps=1,
            )  # fmt: skip
            with sdpa_kernel(backend):
                if length == 1:  # the queries of one group are rows of one product
                    query = qkv[:, : s.heads * s.dim].view(batch, s.kv_heads, group, s.dim)
                    mixed = torch.nn.functional.scaled_dot_product_attention(query, keys, values)
                else:
                    parts = qkv.view(batch, length, kinds, s.dim).transpose(1, 2)
                    query, key, value = parts.split((s.heads, s.kv_heads, s.kv_heads), dim=1)
                    mixed = torch.nn.functional.scaled_dot_product_attention(
                        query, key, value, is_causal=True, enable_gqa=True
                    ).transpose(1, 2)
            x = mixed.reshape(rows, s.heads * s.dim) @ layer["out"].t()
            _add_norm[(rows,)](x, residual, layer["second"], normed, s.hidden, block, num_warps=8)
            both = normed @ layer["up"].t()
            gated = torch.empty(rows, s.inner, device="cuda", dtype=WIDE)
            _silu_gate[(rows, triton.cdiv(s.inner, 1024))](both, gated, s.inner, 1024, num_warps=4)
            x = gated @ layer["down"].t()
        _add_norm[(rows,)](x, residual, self.last, normed, s.hidden, block, num_warps=8)
        return normed.view(batch, length, -1)[:, -1] @ self.head.t()


def check(sizes: Sizes) -> None:
    """Whether two layers give one token's logits alike by prefill and by a step.

    Raises:
        ValueError: If they do not.
    """
    model = Transformer(sizes, layers=2)
    tokens = torch.randint(sizes.vocabulary, (2, 257), device="cuda")
    for backend in LIBRARIES.values():
        cache = model.cache(2, 257)
        model(tokens[:, :256], cache, 0, backend)
        step = model(tokens[:, 256:], cache, 256, backend).float()
        whole = model(tokens, model.cache(2, 257), 0, backend).float()
        off = float((step - whole).norm() / whole.norm())
        if not off < SAME:
            raise ValueError(f"{backend}: a step's logits are {off:.3g} from a prefill's")
        print(f"{backend}: a step's logits are within {off:.2g} of a prefill's")


def seconds_of(model: Transformer, batch: int, length: int, phase: str) -> tuple[float, str]:
    """Seconds of one pass, and the library of attention that took them: the faster one."""
    times: list[tuple[float, str]] = []
    prefill = phase == "prefill"
    tokens = torch.randint(model.sizes.vocabulary, (batch, length if prefill else 1), device="cuda")
    cache = model.cache(batch, length)
    begin = 0 if prefill else length - 1
    for name, backend in LIBRARIES.items():
        for _ in range(2):
            model(tokens, cache, begin, backend)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            kept = model(tokens, cache, begin, backend).argmax(dim=-1)
        times.append((replay_s(torch, graph, most=20, enough_s=0.3), name))
        del kept, graph
    return min(times)


def sizes_of_passes(sizes: Sizes, free_bytes: float) -> list[tuple[str, int, int]]:
    """Phase, batch and length of what fits beside the weights."""
    token_bytes = 4.0 * sizes.layers * sizes.kv_heads * sizes.dim
    steps = [
        ("decode", batch, length)
        for length in (1024, 4096, 16384)
        for batch in (1, 4, 16, 64, 128, 256)
    ]
    prompts = [("prefill", 1, length) for length in (128, 512, 1024, 2048, 4096, 8192, 16384)]
    prompts += [("prefill", batch, length) for batch, length in ((4, 512), (4, 2048), (16, 512))]
    return [one for one in steps + prompts if one[1] * one[2] * token_bytes < 0.7 * free_bytes]


def main() -> None:
    """Measure, and write what there was time and memory for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0, help="begin nothing after so long")
    arguments = parser.parse_args()
    name = torch.cuda.get_device_name()
    version = f"PyTorch {torch.__version__}, Triton {triton.__version__}, {name}"
    gpu = chip_of(name).lower()
    begun = time.perf_counter()
    with arguments.out.open("w", newline="") as file, torch.no_grad():
        out = csv.writer(file, lineterminator="\n")
        out.writerow(COLUMNS)
        for model_name, sizes in MODELS.items():
            check(sizes)
            free, _ = torch.cuda.mem_get_info()
            weights = sizes.layers * sizes.hidden * (3 * sizes.inner + 2.5 * sizes.hidden) * 2.0
            weights += 4.0 * sizes.vocabulary * sizes.hidden
            if weights > 0.9 * free:
                print(f"{model_name}: {weights / 1e9:.0f} GB do not fit", file=sys.stderr)
                continue
            model = Transformer(sizes)
            torch.cuda.synchronize()
            free, _ = torch.cuda.mem_get_info()
            for phase, batch, length in sizes_of_passes(sizes, free):
                if time.perf_counter() - begun > arguments.seconds:
                    print(f"out of time at {model_name} {phase}", file=sys.stderr)
                    break
                try:
                    seconds, library = seconds_of(model, batch, length, phase)
                except torch.cuda.OutOfMemoryError:
                    print(f"{model_name} {phase} {batch} {length}: no memory", file=sys.stderr)
                    torch.cuda.empty_cache()
                    continue
                out.writerow((model_name, gpu, phase, "bf16", batch, length, f"{seconds:.5g}",
                              f"{library}; {version}"))  # fmt: skip
                file.flush()
            del model
            torch.cuda.empty_cache()
            print(f"[{time.perf_counter() - begun:6.1f} s] {model_name}")


if __name__ == "__main__":
    main()
