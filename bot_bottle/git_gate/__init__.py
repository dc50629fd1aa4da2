"""git-gate's hooks: what a client pushes is scanned with gitleaks before anything of it reaches the upstream.

The images have this package at /app/git_gate; /etc/git-gate/access-hook and /etc/git-gate/pre-receive start it.
"""
