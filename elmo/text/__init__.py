"""Text as input of the models: characters, words, sentences, vocabularies."""
