"""Audits by kube-bench, kube-hunter and gitleaks; no lab is known here.

results        what both write, read as they write it
commandlines   what a benchmark asks of a flag, and what a command line says of it
hunting        kube-hunter, run in a sandbox with a network of its own
gitleaks       secrets in the history of a repository
records        command lines, and such a run, as they are on record
"""
