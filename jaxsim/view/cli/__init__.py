"""The command line: a file for each verb in `verbs/`, shared options, and the parser of text.

`main` finds the verb and turns errors into exit statuses; `parse` turns text into typed values;
`options` are flags that several verbs share; `output` prints a result. From arguments to an exit
status. Begin with `main.py`.
"""
