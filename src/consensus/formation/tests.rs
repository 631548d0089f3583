use super::*;

fn member(id: u64) -> Member {
    Member { id: NodeId(id), url: format!("http://user.invalid/{id}"), peer: format!("http://peer.invalid/{id}") }
}

fn identity() -> Identity {
    Identity {
        node_id: NodeId(2),
        cluster_name: "c".into(),
        cluster: None,
        removed: false,
        promised: Schema::FIRST,
        owed: None,
    }
}

fn form(id: u128) -> Form {
    Form {
        cluster_id: ClusterId(id).to_string(),
        cluster_name: "c".into(),
        members: [1, 2].iter().map(|id| MemberFile::from(&member(*id))).collect(),
        schema: Schema::FIRST.0,
    }
}

#[test]
fn a_node_takes_one_cluster_and_no_other() {
    let formed = accept(&identity(), form(7)).unwrap();
    assert_eq!(formed.cluster, Some(Formed { id: ClusterId(7), members: vec![member(1), member(2)] }));
    assert_eq!(accept(&formed, form(7)).unwrap(), formed, "told twice is told once");
    assert!(accept(&formed, form(8)).unwrap_err().contains("already"));
    let error = accept(&identity(), Form { cluster_name: "d".into(), ..form(7) }).unwrap_err();
    assert!(error.contains("correct one of the configurations"), "{error}");
    assert!(accept(&identity(), Form { cluster_id: "nonsense".into(), ..form(7) }).is_err());
}

#[test]
fn an_identity_is_kept_and_belongs_to_one_node() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::take(dir.path()).unwrap();
    assert_eq!(data.identity(NodeId(2), "c").unwrap(), identity());
    let formed = accept(&identity(), form(7)).unwrap();
    data.save(&formed).unwrap();
    assert_eq!(data.identity(NodeId(2), "c").unwrap(), formed);
    assert!(data.identity(NodeId(3), "c").unwrap_err().to_string().contains("belongs to node 2"));
    assert!(data.identity(NodeId(2), "d").unwrap_err().to_string().contains("belongs to the cluster"));
    let error = DataDir::take(dir.path()).err().unwrap().to_string();
    assert!(error.contains("in use by another process"), "{error}");
    std::fs::write(dir.path().join("node.json"), "{}").unwrap();
    assert!(format!("{:#}", data.identity(NodeId(2), "c").unwrap_err()).contains("is damaged"));
}
