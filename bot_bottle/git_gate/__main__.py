"""`python3 -m git_gate serve|access|receive`: what the entrypoint and the two hooks run."""

import sys

from git_gate import access, receive, serve
from git_gate.report import RefusedError, tell


def main(words: list[str]) -> None:
    """Runs one of the commands. Says why it refuses something to whoever asked, and exits with 1."""
    try:
        match words:
            case ["receive"]:
                receive.main()
            case ["access", service, repository, *_]:
                access.main(service, repository)
            case ["serve"]:
                serve.main()
            case _:
                sys.exit("usage: python3 -m git_gate serve|access SERVICE REPOSITORY|receive")
    except RefusedError as refused:
        # git daemon shows its client what the access hook prints, receive-pack what pre-receive says on standard error.
        tell(str(refused), sys.stdout if words[0] == "access" else sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
