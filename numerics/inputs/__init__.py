"""What is asked: problems and their files, teachers, activations, and the gates for arrays and numbers."""
