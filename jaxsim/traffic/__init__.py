"""Over time: queues, traces and scaling."""
