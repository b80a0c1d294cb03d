"""Sources of pairs of sentences: entailment, paraphrase, relatedness."""
