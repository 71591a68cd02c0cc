import os

import api

api.jobs()
for _ in range(200):
    if os.fork() == 0:
        os.execvp("sh", ["sh", "-c", "while :; do :; done"])
while True:
    pass
