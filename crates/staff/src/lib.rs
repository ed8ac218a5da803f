//! Pages for the practice's own people: signing in, connecting a phone, and how the box is.
