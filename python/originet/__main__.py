"""The command line: the script `originet`, and `python -m originet` where it is not on the path."""

import sys


def main() -> None:
    """Runs the command line; Ctrl-C ends it before it has read a word, too."""
    try:
        from originet import cli
    except KeyboardInterrupt:
        sys.exit(130)  # 128 and the number of SIGINT, as shells count
    cli.main()


if __name__ == "__main__":
    main()
