//! Benchmarks of Posse beside its rivals: the shared scaffolding.
