"""`python -m graders` is the command `kubeproof`."""

from graders.cli import main

main()
