"""Signs reports, and tells whether a report is the one that was signed.

A signature is an in-toto Statement in a DSSE envelope, with Ed25519: it names report.json, and the bundle it
stands on, by digest. It says who vouches, and nothing of whether the grading was right.
"""
