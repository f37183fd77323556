"""Rewrite the goldens: `python -m tests.goldens`. Review the difference before committing it."""

import tests.conftest  # noqa: F401  64 bits, as the tests have
from tests.goldens._designs import DESIGNS, file_of, golden_of, text_of

if __name__ == "__main__":
    for name in DESIGNS:
        file_of(name).write_text(text_of(golden_of(name)), encoding="utf-8")
        print(file_of(name).name)
