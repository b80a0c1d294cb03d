"""Pairs of sentences: entailment, paraphrase, relatedness."""
