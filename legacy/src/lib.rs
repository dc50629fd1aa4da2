//! Plan to compose.
