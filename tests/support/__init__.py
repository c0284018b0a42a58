"""What the tests share: sessions to play, a bench for one party, recordings written by hand, strict models."""
