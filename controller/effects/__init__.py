"""What is owed to the outside: one module for each kind of effect, and the outbox that carries them out."""
