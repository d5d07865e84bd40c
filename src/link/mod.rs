//! Connections between two nodes: QUIC, and who is at the other end. Not what is said over them.
//!
//! The TLS identity is the agent: both sides show the ML-DSA-65 key that signs their commits, as a raw
//! public key (RFC 7250), so there are no certificates and nobody to issue them.

pub mod config;
pub mod endpoint;
pub mod error;
pub mod policy;
pub mod tls;
pub mod version;

pub use config::Config;
pub use endpoint::{Call, Endpoint, Link};
pub use error::{Farewell, LinkError};
pub use policy::Policy;
pub use tls::Expected;
