//! The hooked functions, by family.
