//! The plan: a fully resolved bottle.
