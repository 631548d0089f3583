//! A directory node that is told to stop finishes what it has in hand.

use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::signals::terminate;
use crate::support::{Cluster, files_below, noise, until};

const PIECE: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_body_in_hand_arrives_whole_at_a_node_that_stops() {
    for leads in [true, false] {
        let mut cluster = Cluster::start(3, 3).await;
        let node = if leads { cluster.leader().await } else { cluster.follower().await };
        let (pieces, incoming) = mpsc::channel::<Bytes>(1);
        let body = stream::unfold(incoming, async |mut incoming| {
            incoming.recv().await.map(|piece| (Ok::<_, std::io::Error>(piece), incoming))
        });
        // As curl does it: one attempt, at this node, which does the upload itself.
        let request = cluster.http.put(format!("{}/write?path=/in/hand", cluster.url(node)));
        let request = request.bearer_auth(&cluster.admin.token).header("Ringmaster-Routing", "forward");
        let upload = tokio::spawn(request.body(reqwest::Body::wrap_stream(body)).send());
        let content = noise(3, 4 * PIECE);
        let mut rest = content.chunks(PIECE).map(Bytes::copy_from_slice);
        for piece in rest.by_ref().take(2) {
            pieces.send(piece).await.expect("the client sends");
        }
        until("it is in hand", async || {
            assert!(!upload.is_finished(), "the upload has ended before its body has");
            cluster.servers.iter().any(|server| !files_below(&server.data.join("tmp")).is_empty())
        })
        .await;

        terminate(&cluster.nodes[node]);
        let ready = format!("{}/readyz", cluster.url(node));
        until("it says that it goes", async || {
            let word = cluster.http.get(&ready).send().await;
            !word.is_ok_and(|word| word.status().is_success())
        })
        .await;
        until("another node leads", async || {
            let others = (0..3).filter(|other| *other != node);
            let mut told = Vec::new();
            for other in others {
                let leader = cluster.get(other, "/cluster").await.1["leader_id"].as_u64();
                told.push(leader.is_some_and(|leader| leader != node as u64 + 1));
            }
            told == [true, true]
        })
        .await;
        for piece in rest {
            pieces.send(piece).await.expect("the client sends");
        }
        drop(pieces);
        let answer = upload.await.expect("no panic").expect("an answer");
        let status = answer.status().as_u16();
        let stat: Value = answer.json().await.expect("JSON");
        assert_eq!((status, &stat["size"]), (201, &json!(content.len())), "{stat}\n{}", cluster.nodes[node].log_tail());

        assert_eq!(cluster.nodes[node].wait_exit().await, Some(0), "{}", cluster.nodes[node].log_tail());
        assert!(!cluster.nodes[node].log_text().contains("this is a bug"), "{}", cluster.nodes[node].log_tail());
        for other in (0..3).filter(|other| *other != node) {
            let request = cluster.http.get(format!("{}/read?path=/in/hand", cluster.url(other)));
            let answer = request.bearer_auth(&cluster.admin.token).send().await.expect("an answer");
            assert!(answer.bytes().await.expect("bytes") == content, "from node {other}");
        }
    }
}
