"""What the entrypoint scripts of the official images do before their program starts, in Python.

Each is called in a process forked for the container, which then becomes the program: nothing of it stays behind.
"""
