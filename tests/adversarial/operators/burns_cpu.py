import os

import api

api.jobs()
for _ in range(200):
    if os.fork() == 0:
        break
while True:
    pass
