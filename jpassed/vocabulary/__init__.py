"""What a token can be: kinds with their unit, UCD, support and scaling."""

from jpassed.vocabulary.vocabulary import Kind, Vocabulary, load_vocabulary, split_quantity

__all__ = ["Kind", "Vocabulary", "load_vocabulary", "split_quantity"]
