use super::super::formation;
use super::*;
use crate::domain::ServerUuid;
use crate::trust::Members;

over_both_media!(
    one_node_forms_a_cluster_alone_and_keeps_it,
    the_first_members_wait_for_one_another_in_any_order,
    a_first_member_that_crashed_after_writing_the_id_goes_on_with_it,
    a_node_that_lost_its_disk_does_not_come_back_under_its_id,
    different_lists_of_members_and_different_secrets_are_named,
    calls_with_another_secret_cluster_or_receiver_are_refused,
);

async fn one_node_forms_a_cluster_alone_and_keeps_it(on: On) {
    let mut cluster = Cluster::started(on, 1, Tuning::default()).await;
    set(cluster.node(1), "a", "1").await.unwrap();
    let id = cluster.node(1).status().cluster_id.unwrap();
    assert_eq!(get(cluster.node(1), "cluster").await.unwrap(), id.to_string(), "it was set up under its id");
    cluster.kill(1);
    cluster.start(1).await;
    cluster.leader().await;
    assert_eq!(get(cluster.node(1), "a").await.as_deref(), Some("1"));
    assert_eq!(cluster.node(1).status().cluster_id, Some(id));
}

async fn the_first_members_wait_for_one_another_in_any_order(on: On) {
    let mut cluster = Cluster::of(on, 3, Tuning::default());
    for id in [3, 1] {
        cluster.start(id).await;
        let status = until_status(cluster.node(id), |status| status.waiting_for.is_some()).await;
        assert_eq!(status.cluster_id, None);
        assert!(!status.ready);
    }
    let waiting =
        until_status(cluster.node(1), |status| status.waiting_for.as_ref().is_some_and(|text| text.contains("node 2")));
    waiting.await;
    let error = set(cluster.node(1), "a", "1").await.unwrap_err();
    assert!(matches!(error, ProposeError::NoLeader(_)), "{error}");
    // One of them starts anew in between.
    cluster.kill(1);
    cluster.start(1).await;
    cluster.start(2).await;
    cluster.leader().await;
    let ids: Vec<_> = cluster.running().map(|node| node.status().cluster_id).collect();
    assert!(ids[0].is_some() && ids.iter().all(|id| *id == ids[0]));
    for node in cluster.running() {
        let status = until_status(node, |status| status.ready && status.members.iter().all(|m| m.reachable)).await;
        assert_eq!(status.members.len(), 3);
        assert!(status.members.iter().all(|member| member.voter && member.url.starts_with("http://user")));
        assert_eq!(status.waiting_for, None);
    }
}

async fn a_first_member_that_crashed_after_writing_the_id_goes_on_with_it(on: On) {
    let mut cluster = Cluster::of(on, 3, Tuning::default());
    let id = "000102030405060708090a0b0c0d0e0f";
    let members: Vec<_> =
        cluster.members.iter().map(|m| serde_json::json!({"id": m.id.0, "url": m.url, "peer": m.peer})).collect();
    let identity = serde_json::json!({
        "format": 1, "role": "directory", "node_id": 1, "cluster_name": "test", "cluster_id": id, "members": members
    });
    cluster.start(1).await;
    cluster.kill(1);
    until(|| formation::DataDir::take(&cluster.data_dir(1)).ok()).await;
    std::fs::write(cluster.data_dir(1).join("node.json"), identity.to_string()).unwrap();
    for node in [2, 1, 3] {
        cluster.start(node).await;
    }
    cluster.leader().await;
    for node in cluster.running() {
        assert_eq!(node.status().cluster_id.unwrap().to_string(), id);
    }
}

async fn a_node_that_lost_its_disk_does_not_come_back_under_its_id(on: On) {
    let mut cluster = Cluster::started(on, 3, Tuning::default()).await;
    set(cluster.node(1), "a", "1").await.unwrap();
    for lost in 1..=3 {
        // Whichever it is, also the one that formed the cluster; the other two stay a majority.
        let kept = cluster.dir.path().join("kept");
        cluster.kill(lost);
        until(|| formation::DataDir::take(&cluster.data_dir(lost)).ok()).await;
        std::fs::rename(cluster.data_dir(lost), &kept).unwrap();
        let slot = lost as usize - 1;
        let kept_in_memory = std::mem::replace(&mut cluster.kept[slot], Kept::new(on));
        cluster.start(lost).await;
        let mut stopped = cluster.node(lost).stopped();
        let message = tokio::time::timeout(PATIENCE, stopped.wait_for(Option::is_some)).await.unwrap();
        let message = message.unwrap().clone().unwrap();
        assert!(message.contains(&format!("the disk of node {lost} is empty")), "{message}");
        assert!(message.contains("under a new id"), "{message}");
        assert_eq!(cluster.node(lost).status().cluster_id, None);
        drop(stopped);
        cluster.kill(lost);
        until(|| formation::DataDir::take(&cluster.data_dir(lost)).ok()).await;
        std::fs::remove_dir_all(cluster.data_dir(lost)).unwrap();
        std::fs::rename(&kept, cluster.data_dir(lost)).unwrap();
        cluster.kept[slot] = kept_in_memory;
        cluster.start(lost).await;
        cluster.leader().await;
        assert_eq!(get(cluster.node(lost), "a").await.as_deref(), Some("1"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_another_node_role_cluster_or_process_is_refused() {
    let mut cluster = Cluster::started(On::Disk, 1, Tuning::default()).await;
    cluster.kill(1);
    let mut first = cluster.options(1).await;
    let dir = first.data_dir.clone();
    until(|| formation::DataDir::take(&dir).ok()).await;

    let lock = formation::DataDir::take(&dir).unwrap();
    let text = cluster.try_start(first).await.err().unwrap().to_string();
    assert!(text.contains("in use by another process"), "{text}");
    drop(lock);

    first = cluster.options(1).await;
    first.cluster_name = "other".into();
    let text = cluster.try_start(first).await.err().unwrap().to_string();
    assert!(text.contains(r#"belongs to the cluster "test", not to "other""#), "{text}");

    first = cluster.options(1).await;
    first.node_id = NodeId(9);
    first.members[0].id = NodeId(9);
    let text = cluster.try_start(first).await.err().unwrap().to_string();
    assert!(text.contains("belongs to node 1, not to node 9"), "{text}");

    first = cluster.options(1).await;
    first.node_id = NodeId(9);
    let text = cluster.try_start(first).await.err().unwrap().to_string();
    assert!(text.contains("not among the members"), "{text}");

    std::fs::rename(dir.join("node.json"), dir.join("node.json.bak")).unwrap();
    first = cluster.options(1).await;
    let text = cluster.try_start(first).await.err().unwrap().to_string();
    assert!(text.contains("has data but no node.json"), "{text}");
    std::fs::rename(dir.join("node.json.bak"), dir.join("node.json")).unwrap();

    std::fs::write(dir.join("server.json"), "{}").unwrap();
    first = cluster.options(1).await;
    let text = cluster.try_start(first).await.err().unwrap().to_string();
    assert!(text.contains("data directory of a file server"), "{text}");
    std::fs::remove_file(dir.join("server.json")).unwrap();

    cluster.start(1).await;
    cluster.leader().await;
}

async fn different_lists_of_members_and_different_secrets_are_named(on: On) {
    let mut cluster = Cluster::of(on, 3, Tuning::default());
    cluster.start(1).await;
    let mut options = cluster.options(2).await;
    options.members.truncate(2);
    let second = cluster.try_start(options).await.unwrap();
    let mut options = cluster.options(3).await;
    options.credentials = super::credentials(8, 3);
    let third = cluster.try_start(options).await.unwrap();
    let status = until_status(cluster.node(1), |status| {
        let text = status.waiting_for.as_deref().unwrap_or_default();
        text.contains("node 2 lists the members [1, 2]") && text.contains("another cluster secret")
    });
    status.await;
    drop((second, third));
}

async fn calls_with_another_secret_cluster_or_receiver_are_refused(on: On) {
    let cluster = Cluster::started(on, 1, Tuning::default()).await;
    let url = format!("{}/peer/1/status", cluster.members[0].peer);
    let client = |node| Members::new(super::credentials(7, node), |client| client);
    let of_cluster = async |node, url: &str, headers: [(&str, &str); 4]| {
        let client = client(node).member(Identity::Directory(NodeId(1))).unwrap();
        let request = headers.iter().fold(client.post(url), |request, (name, value)| request.header(*name, *value));
        request.body(vec![0xc0]).send().await.unwrap().status().as_u16()
    };
    let id = cluster.node(1).status().cluster_id.unwrap().to_string();
    let post = async |protocol: &str, (from, to): (&str, &str), cluster: &str, url: &str| {
        let headers = [
            ("ringmaster-from", from),
            ("ringmaster-to", to),
            ("ringmaster-cluster", cluster),
            ("ringmaster-protocol", protocol),
        ];
        of_cluster(2, url, headers).await
    };
    assert_eq!(post("1", ("2", "1"), &id, &url).await, 200);
    // Of a neighbouring release, and of one that is two ahead.
    assert_eq!(post("2", ("2", "1"), &id, &url).await, 200);
    assert_eq!(post("3", ("2", "1"), &id, &url).await, 505);
    assert_eq!(post("1", ("3", "1"), &id, &url).await, 403, "its certificate is that of node 2");
    assert_eq!(post("1", ("2", "3"), &id, &url).await, 421);
    assert_eq!(post("1", ("2", "1"), "000102030405060708090a0b0c0d0e0f", &url).await, 409);
    assert_eq!(post("1", ("2", "1"), "nonsense", &url).await, 400);
    assert_eq!(post("1", ("2", "1"), &id, &url.replace("status", "unknown")).await, 404);
    // Who has shown no certificate, that of another cluster, or that of another role.
    let authority = Authority::new(&ClusterSecret::from_bytes([7; 32])).unwrap();
    let clock = SharedClock::system();
    let call = async |credentials: Credentials| {
        let client = Members::new(credentials, |client| client).member(Identity::Directory(NodeId(1))).unwrap();
        let sent = client.post(&url).header("ringmaster-from", "2").header("ringmaster-to", "1").send().await;
        sent.map(|answer| answer.status().as_u16())
    };
    assert_eq!(call(Credentials::new(authority.public(), clock.clone())).await.unwrap(), 403);
    for other in [Identity::FileServer(ServerUuid(2)), Identity::LockService, Identity::Operator] {
        assert_eq!(call(Credentials::issued(&authority, other, &clock).unwrap()).await.unwrap(), 403, "{other}");
    }
    call(super::credentials(8, 2)).await.expect_err("of another cluster");
    // The other way round: whoever answers must be the node that is meant.
    let client = client(2).member(Identity::Directory(NodeId(3))).unwrap();
    let error = client.post(&url).send().await.expect_err("node 1 is at the address of node 3");
    assert!(crate::trust::why(&error).contains("directory node 1 of this cluster answers there"), "{error:?}");
}
