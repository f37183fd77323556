"""Result files of benchmark clients, each in its own keys, units and habits.

`stated` is what the caller says beside a file, `entry` one run of a file and the record that it
becomes; then a file for each family of clients. From JSON, text and CSV to `ServingRow`. Begin with
`entry.py`.
"""
