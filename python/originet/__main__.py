"""`python -m originet`, the command line where its script is not on the path."""

from originet.cli import main

main()
