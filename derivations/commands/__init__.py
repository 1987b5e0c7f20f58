"""One module for each command of the program; each has a `command` and imports heavy things only when it runs."""
