"""`python3 -m git_gate`: lists what there is to run."""

import sys

if __name__ == "__main__":
    sys.exit("usage: python3 -m git_gate.serve | git_gate.access SERVICE REPOSITORY | git_gate.receive")
