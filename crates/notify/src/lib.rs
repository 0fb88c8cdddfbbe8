//! Telling people and programs outside what became of a run.
