"""One design: what it must do, how long that takes, and whether it fits."""
