"""The study of disaggregation ("Beyond the Buzz", arXiv 2506.05508), claim by claim.

`settings` and `source` say what is evaluated, `claims_*` test one family of claims each, `page`
writes them up. From the evaluator to verdicts. Begin with `claims.py`.
"""
