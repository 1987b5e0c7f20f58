"""What is answered: solutions, and how results are shown, drawn and saved."""
