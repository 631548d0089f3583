use proptest::prelude::*;

use super::*;

fn key() -> SigningKey {
    SigningKey::from_seed(&[7; 32])
}

fn other() -> Bearer {
    Bearer::Other(key().public())
}

fn any_capability() -> impl Strategy<Value = Capability> {
    let ids = (0..Method::ALL.len(), any::<u128>(), any::<u64>(), any::<Option<u64>>(), any::<Option<u128>>());
    (ids, any::<u64>(), any::<u64>()).prop_map(|((method, cluster, server, epoch, blob), max_bytes, expires)| {
        Capability {
            method: Method::ALL[method],
            cluster_id: ClusterId(cluster),
            server_id: ServerId(server),
            epoch: epoch.map(Epoch),
            blob_id: blob.map(BlobId),
            max_bytes,
            expires_at_wall_ms: expires,
        }
    })
}

fn put() -> Capability {
    Capability {
        method: Method::Put,
        cluster_id: ClusterId(1),
        server_id: ServerId(2),
        epoch: Some(Epoch(3)),
        blob_id: Some(BlobId(4)),
        max_bytes: 5,
        expires_at_wall_ms: 1_000_000,
    }
}

fn demand() -> Demand {
    Demand {
        method: Method::Put,
        cluster_id: ClusterId(1),
        server_id: ServerId(2),
        epoch: Some(Epoch(3)),
        blob_id: Some(BlobId(4)),
    }
}

proptest! {
    #[test]
    fn what_was_minted_is_read_back(capability in any_capability()) {
        let text = capability.sign(&key());
        prop_assert_eq!(Capability::verify(other(), &text, capability.expires_at_wall_ms), Ok(capability));
    }

    #[test]
    fn any_altered_bit_is_refused(capability in any_capability(), position in any::<prop::sample::Index>(), bit in 0..8) {
        let mut form = URL_SAFE_NO_PAD.decode(capability.sign(&key())).expect("minted text decodes");
        let position = position.index(form.len());
        form[position] ^= 1_u8 << bit;
        let altered = URL_SAFE_NO_PAD.encode(form);
        prop_assert_eq!(Capability::verify(other(), &altered, 0), Err(CapabilityError::Forged));
    }

    #[test]
    fn any_altered_character_is_refused(capability in any_capability(), position in any::<prop::sample::Index>(), character in any::<u8>()) {
        let mut text = capability.sign(&key()).into_bytes();
        let position = position.index(text.len());
        prop_assume!(text[position] != character % 128);
        text[position] = character % 128;
        let altered = String::from_utf8(text).expect("still ASCII");
        prop_assert!(Capability::verify(other(), &altered, 0).is_err());
    }

    #[test]
    fn a_directory_node_needs_no_signature_and_nobody_else_goes_without(capability in any_capability()) {
        let (plain, signed) = (capability.mint(), capability.sign(&key()));
        prop_assert_eq!(Capability::verify(Bearer::Directory, &plain, 0), Ok(capability));
        prop_assert_eq!(Capability::verify(other(), &plain, 0), Err(CapabilityError::Malformed));
        prop_assert_eq!(Capability::verify(Bearer::Directory, &signed, 0), Err(CapabilityError::Malformed));
    }

    #[test]
    fn no_text_panics(text in ".{0,200}") {
        prop_assert!(Capability::verify(other(), &text, 0).is_err());
    }
}

#[test]
fn another_secret_is_refused() {
    let text = put().sign(&SigningKey::from_seed(&[8; 32]));
    assert_eq!(Capability::verify(other(), &text, 0), Err(CapabilityError::Forged));
}

#[test]
fn clocks_may_differ_by_five_minutes() {
    let text = put().sign(&key());
    let last = put().expires_at_wall_ms + CLOCK_TOLERANCE_MS;
    assert!(Capability::verify(other(), &text, last).is_ok());
    assert_eq!(Capability::verify(other(), &text, last + 1), Err(CapabilityError::Expired));
}

#[test]
fn a_write_must_name_the_current_epoch() {
    assert_eq!(put().check(&demand()), Ok(()));
    assert_eq!(Capability { epoch: None, ..put() }.check(&demand()), Err(CapabilityError::WrongEpoch));
    assert_eq!(put().check(&Demand { epoch: Some(Epoch(4)), ..demand() }), Err(CapabilityError::WrongEpoch));
    assert_eq!(put().check(&Demand { epoch: None, ..demand() }), Err(CapabilityError::WrongEpoch));
    let get = Capability { method: Method::Get, epoch: None, ..put() };
    assert_eq!(get.check(&Demand { method: Method::Get, epoch: None, ..demand() }), Ok(()));
}

#[test]
fn it_is_for_one_call_only() {
    let refused = |demand: Demand| put().check(&demand).expect_err("is for another call");
    assert_eq!(refused(Demand { method: Method::Delete, ..demand() }), CapabilityError::WrongMethod);
    assert_eq!(refused(Demand { cluster_id: ClusterId(9), ..demand() }), CapabilityError::WrongCluster);
    assert_eq!(refused(Demand { server_id: ServerId(9), ..demand() }), CapabilityError::WrongServer);
    assert_eq!(refused(Demand { blob_id: Some(BlobId(9)), ..demand() }), CapabilityError::WrongBlob);
    assert_eq!(refused(Demand { blob_id: None, ..demand() }), CapabilityError::WrongBlob);
}
