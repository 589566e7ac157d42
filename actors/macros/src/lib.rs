//! Attributes and derives of Posse; everything they write can be written by hand.
