"""One file for each verb of `jaxsim`, found by its name; each has `add_parser`."""
