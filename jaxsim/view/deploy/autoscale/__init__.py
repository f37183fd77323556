"""When pools should grow and shrink: thresholds from the plan, and the files that act on them.

`limits` computes them; `planner` is Dynamo's planner, `profile` its profiles (in and out), `keda`
KEDA's ScaledObject and Kubernetes' HorizontalPodAutoscaler, `kserve` the fields of KServe's
service. Begin with `limits.py`.
"""
