"""What exists: hardware, models, workloads, deployments and calibrations."""
