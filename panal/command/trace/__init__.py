"""`panal trace`: one real connection, and each hop's own record of it."""
