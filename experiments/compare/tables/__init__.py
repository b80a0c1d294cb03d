"""A comparison as text: tables for the terminal and papers, files, and the paragraphs of checklists."""
