"""Rewrite the goldens: `python -m tests.view.deploy`. Review the difference before committing."""

from tests.view.deploy.made import CASES, golden, joined, texts

if __name__ == "__main__":
    for case in CASES:
        golden(case).write_text(joined(texts(*case)), encoding="utf-8")
        print(golden(case).name)
