//! What the practice has decided about single domains: floors, trusted certificates, always pickup, smarthosts.
