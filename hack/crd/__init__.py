"""Makes the CustomResourceDefinitions of the hand-written bases and the declared fields."""
