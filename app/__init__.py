"""Take A Number: the package that takeanumber.py starts. See "How the code is laid out" in the README."""
