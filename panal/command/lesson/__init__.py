"""`panal lesson`: the lessons of examples/, walked through in the terminal and checked on the live cluster."""
