"""What leaves the program: text, pictures, reports, files, the study and the command line.

Rooms, each importing only from those before it: `text`, `figures`, `report`, `files`, `study`,
`deploy`, `cli`. From results to what people and scripts read. Begin with `cli/main.py`.
"""
