"""What leaves: datasets, plots, reports, files and the command line."""
