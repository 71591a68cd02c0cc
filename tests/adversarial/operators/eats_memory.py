import api

api.jobs()
eaten = []
while True:
    eaten.append(b"x" * (16 << 20))
