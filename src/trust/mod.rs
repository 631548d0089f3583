//! Who is who on the network, and how that is proven.
//!
//! Everything of TLS that this program decides is here: which cryptography, who signs whose certificate, what a certificate
//! says, and whom a connection is to reach. Those who open or take a connection only name whom they expect.

mod crypto;

pub use self::crypto::{http, provider};
