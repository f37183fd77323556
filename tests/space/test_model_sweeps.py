"""Are sweeps of the model itself the same in every form, at every point?"""

import jax
import numpy as np
import pytest

from benchmarks.speed.plain import Plain
from jaxsim.point.phases.decode import decode
from jaxsim.space.axes import LEAF
from jaxsim.space.grid.best import stream_best
from jaxsim.space.grid.split import split
from jaxsim.space.grid.sweep import flat
from jaxsim.space.program.host import HOST_POINTS
from tests.scenarios import scenario
from tests.space.grids import precision

VALUES = {
    "isl": (900.0, 30000.0),
    "osl": (100.0, 4000.0),
    "tp": (1.0, 4.0),
    "ep": (1.0, 8.0),
    "pp": (1.0, 3.0),
    "batch": (1.0, 7.0, 64.0, 1000.0),
}
AXES = [(name, LEAF[name], np.array(values)) for name, values in VALUES.items()]
# NumPy and the compiler round elementary functions differently; the most seen is 5e-7.
RTOL = 1e-6


def _outputs(decoded):
    return {
        "ttl_s": decoded.ttl_s,
        "rate": decoded.output_tokens_per_s_per_gpu,
        "bytes": decoded.memory.total_bytes,
        "valid": decoded.valid,
    }


def _fn(point):
    return _outputs(decode(point))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mla_moe"])
def test_decoding_is_the_same_in_every_form(kind):
    point = scenario(kind)
    mesh = np.meshgrid(*VALUES.values(), indexing="ij")
    listed = [(n, LEAF[n], m.reshape(-1)) for n, m in zip(VALUES, mesh, strict=True)]
    shape = mesh[0].shape
    with precision(32):
        expected = jax.jit(lambda: flat(_fn, point, listed))()
        for host_points in (0, HOST_POINTS):
            staged = split(_fn, point, AXES, host_points=host_points)
            got, dims = staged.materialise(), staged.dims
            for name, value in expected.items():
                at = [n if a in dims[name] else 1 for a, n in zip(VALUES, shape, strict=True)]
                full = np.broadcast_to(np.asarray(got[name]).reshape(at), shape).reshape(-1)
                np.testing.assert_allclose(full, value, rtol=RTOL, err_msg=name)
        best = stream_best(_fn, point, AXES, ("isl", "osl"), objective="rate", valid="valid")
        rate = np.where(expected["valid"], expected["rate"], -np.inf).reshape(4, -1)
        np.testing.assert_allclose(best.value.reshape(4), rate.max(axis=1), rtol=RTOL)
        # The forms that the engine is timed against compute the same thing.
        plain = Plain(_fn, point, AXES)
        count = rate.size
        for got, value in zip(plain.numpy_flat(count), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(np.broadcast_to(got, count), value, rtol=RTOL)
        first = np.asarray(jax.tree.leaves(expected)[0]).astype(float).sum()
        np.testing.assert_allclose(plain.python(count), first, rtol=1e-5)
