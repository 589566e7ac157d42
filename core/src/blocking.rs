//! Blocking pool.
