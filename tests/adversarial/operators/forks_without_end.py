import os
import time

import api

api.jobs()
while True:
    try:
        os.fork()
    except OSError:
        time.sleep(0.01)
