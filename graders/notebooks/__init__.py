"""Notebooks of learners': executed in a sandbox without network, and read as text; no lab is known here.

executing         runs one, and puts it on record as it is then
notebookrunner    what runs it; by itself, in the sandbox
reading           what cells printed, and what is written between them
records           an executed notebook as it is on record
"""
