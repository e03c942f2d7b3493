"""What the proofs about money share: a desk to move it at, and what must hold of it afterwards."""
