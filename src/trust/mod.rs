//! Who is who on the network, and how that is proven.
//!
//! Everything of TLS between machines that this program decides is here: which cryptography, who signs whose certificate,
//! what a certificate says, and whom a connection is to reach. Those who open or take a connection only name whom they
//! expect.
//!
//! The [`Authority`] follows from the cluster secret, which directory nodes alone have. It signs certificates that say of a
//! key whose it is, an [`Identity`]. A member's [`Credentials`] are its own certificate and the authority's public key; with
//! them both sides of a connection prove who they are, and [`Members`] has the clients for the calling side.

mod authority;
mod credentials;
mod crypto;
mod identity;
mod members;
pub mod pem;
mod reason;
mod users;

pub use self::authority::{Authority, LIFETIME_MS};
pub use self::credentials::Credentials;
pub use self::crypto::{http, provider};
pub use self::identity::{Expected, Identity, Proven};
pub use self::members::Members;
pub use self::reason::why;
pub use self::users::{Pair, distrust, for_users};

#[cfg(test)]
mod tests;
