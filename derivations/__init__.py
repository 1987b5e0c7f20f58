"""The executable paper: literate derivations, figures and the command line."""
