"""Text as the models see it: characters, words, sentences, vocabularies."""
