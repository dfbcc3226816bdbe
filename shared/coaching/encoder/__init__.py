"""Sentence vectors and the classifier on them. Needs numpy; what imports it must do without where that is missing."""
