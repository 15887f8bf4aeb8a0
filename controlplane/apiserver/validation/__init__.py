"""What may be in an object: pure functions from (part of) an object to the list of everything wrong with it."""
