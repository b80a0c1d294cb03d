"""Sources of sentences some of whose words are tagged with their sense."""
