import os

import api

api.jobs()
block = b"all work and no play makes jack a dull boy\n" * 24_000
while True:
    os.write(1, block)
