//! Three nodes in one thread, from a seed.

mod dice;
mod node;

pub(crate) use self::node::Node;
