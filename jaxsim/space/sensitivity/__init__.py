"""What limits a deployment, what would change it, and by how much.

`elasticity` turns derivatives of the winners (`gradient`) into elasticities, `solve` optimises
again after inputs moved, `price` the shadow prices, `discrete` the next widths and GPUs, `inverse`
and `chips` what it would take, `uncertainty` which unknown matters. From a plan to a `Sensitivity`.
Begin with `result.py`.
"""
