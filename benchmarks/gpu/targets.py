"""Which GPUs can be compiled for without one?

XLA needs a description of the device; its numbers are those of the makers' datasheets and of CUDA's
table of compute capabilities (CUDA C++ programming guide, "Compute Capabilities", version 13.0).
"""

from typing import Any

_COMMON = """
threads_per_block_limit: 1024 threads_per_warp: 32 threads_per_core_limit: 2048
shared_memory_per_block: 49152 shared_memory_per_core: 233472 shared_memory_per_block_optin: 232448
fpus_per_core: 128 registers_per_core_limit: 65536 registers_per_block_limit: 65536
block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
runtime_version: "12.8.0" driver_version: "13.0.0"
"""
_CHIPS = {
    "h200": (
        "NVIDIA H200",
        "core_count: 132 clock_rate_ghz: 1.98 memory_bandwidth: 4800000000000 "
        "l2_cache_size: 52428800 device_memory_size: 151397597184 "
        "cuda_compute_capability { major: 9 }",
    ),
    "b200": (
        "NVIDIA B200",
        "core_count: 148 clock_rate_ghz: 1.965 memory_bandwidth: 8000000000000 "
        "l2_cache_size: 132120576 device_memory_size: 193273528320 "
        "cuda_compute_capability { major: 10 }",
    ),
}
CHIPS = tuple(_CHIPS)


def devices(chip: str, count: int = 1) -> list[Any]:
    """Devices of a GPU that is not there, for which XLA compiles; `count` of one host."""
    from jax.experimental import topologies

    title, numbers = _CHIPS[chip]
    config = (
        f'gpu_device_info {{ {_COMMON} {numbers} }} platform_name: "CUDA" '
        f'dnn_version_info {{ major: 9 minor: 10 }} device_description_str: "{title}"'
    )
    described = topologies.get_topology_desc(
        platform="cuda", topology_name=chip, topology=f"1x1x{count}", target_config=config
    )
    return list(described.devices)
