"""Starts a part of git-gate: `python3 -I -S git_gate/__main__.py serve`, or `… access SERVICE REPOSITORY …`.

Python runs isolated: neither the environment nor a folder of the client's can name modules, and the start is short.
A part is imported when it is wanted, because each import costs a push time.
"""

import sys

sys.path.insert(0, __file__.rpartition("/git_gate/")[0])

if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve"]:
            from git_gate.serve import main

            main()
        case ["access", service, repository, *_]:
            from git_gate.access import access

            access(service, repository)
        case _:
            sys.exit("usage: python3 -I -S git_gate/__main__.py serve | access SERVICE REPOSITORY")
