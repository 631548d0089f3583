//! Why nobody takes a file, in words with what to do.

use super::error::ApiError;
use super::node::Node;
use crate::domain::plan;
use crate::domain::query;
use crate::protocol::problem::Code;

impl Node {
    /// The refusal of a file that no file server takes for want of room.
    pub(crate) async fn no_room(&self) -> ApiError {
        let mut detail = "the file servers have no room for the file, and nothing was stored".to_owned();
        let refusals = self.servers.refusals();
        let read = self.handle().read_local(move |store| {
            let servers = query::servers(store)?;
            Ok(plan::unable(servers.iter(), &refusals))
        });
        // What this node knows is enough for an explanation.
        if let Ok(unable) = read.await
            && !unable.is_empty()
        {
            detail += &format!(" ({})", unable.join(", "));
        }
        detail += ": delete something for good (old versions and the trash keep their room), or add a file server";
        ApiError::new(Code::StorageFull, detail)
    }
}
