import sys

print("<script>alert('page')</script> \x1b]0;title\x07\x1b[2J\x1b[31mred\u202egnp.exe", file=sys.stderr)
print("cannot open config.toml: no such file", file=sys.stderr)
sys.exit(3)
