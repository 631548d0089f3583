//! What a request is told of the connection that it comes by.

use http::Request;

use super::gate::{Block, Lease};

impl Lease {
    /// Puts into a request's extensions whose connection it comes by and where it comes from. The connection of a proxy is
    /// for the time that of the request's sender.
    pub(super) fn sign<B>(&self, request: &mut Request<B>, alone: bool) {
        let origin = self.proxies().origin(self.from().ip(), request.headers());
        if self.is_of_proxy() {
            self.carries(Block::of(origin.address), alone);
        }
        request.extensions_mut().insert(self.clone());
        request.extensions_mut().insert(origin);
    }
}
