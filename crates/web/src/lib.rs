//! What all web pages share: connections, the frame around a page, and what keeps forms safe.
