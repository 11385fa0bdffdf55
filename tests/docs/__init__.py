"""What the documents say is so: snippets run, figures are right, models hold."""
