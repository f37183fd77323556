"""How is a table written as YAML that reads back as the same table?"""

from collections.abc import Sequence

import yaml


class _Dumper(yaml.SafeDumper):
    """YAML without anchors: a table that stands twice is written twice."""

    def ignore_aliases(self, data: object) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        return super().increase_indent(flow, False)


def yaml_text(documents: Sequence[object], head: str = "") -> str:
    """One or more YAML documents, after a comment; an error if they would not read back."""
    text = yaml.dump_all(
        documents, Dumper=_Dumper, sort_keys=False, width=10_000, allow_unicode=True
    )
    if list(yaml.safe_load_all(text)) != list(documents):
        raise ValueError("a table does not survive being written as YAML")
    comment = "".join(f"# {line}\n" for line in head.splitlines())
    return comment + text
