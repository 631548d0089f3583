//! What is read, what is not, and who else reads it.

use super::*;

#[test]
fn what_is_not_known_is_a_fault() {
    // A proposal whose command has a tag of the future.
    let mut unknown = Writer::new(vec![ENVELOPE]);
    write_present(&vec![1_u8, 2], 500, &mut unknown);
    let unknown = unknown.finish().0;
    let fault = Proposal::decode(&unknown).expect_err("no such command");
    assert!(fault.0.contains("does not know"), "{fault}");

    let known =
        Proposal { operation: None, command: Command::Reap(command::Reap { limit: 1, ..Default::default() }) }.encode();
    assert!(Proposal::decode(&known).is_ok());
    let mut newer = known.clone();
    newer[0] = ENVELOPE + 1;
    assert!(Proposal::decode(&newer).expect_err("a newer envelope").0.contains("newer"));
    assert!(Proposal::decode(&[]).is_err());
    assert!(Proposal::decode(&known[..known.len() - 1]).is_err());
    assert!(GrantRow::from_bytes(&[ENVELOPE]).is_err(), "an enumeration has no default");
    assert!(Entry::from_bytes(&[ENVELOPE]).is_err());
}

#[test]
fn what_is_not_spelled_as_it_is_written_is_a_fault() {
    let children = Children { all: 12, filled: 3 }.to_bytes();
    assert_eq!(hex::encode(&children), "01080c1003");
    let wrong = [
        ("a field that nobody knows", "01080c10031801"),
        ("a field before all others", "01000108"),
        ("a field twice", "01080c080c1003"),
        ("fields in another order", "011003080c"),
        ("a default that is written out", "01080c1000"),
        ("a number with a zero in front", "01088c001003"),
        ("a number without an end", "01080c10ff"),
        ("a number of more than 64 bits", "01080c10ffffffffffffffffff7f"),
        ("bytes for a number", "01080c120103"),
        ("a wire type that nobody writes", "01080c1500000000"),
    ];
    for (what, bytes) in wrong {
        let bytes = hex::decode(bytes).expect("it is hexadecimal");
        assert!(Children::from_bytes(&bytes).is_err(), "{what}");
    }
    // Of other kinds of values.
    assert!(Hold::from_bytes(&hex::decode("010801100218").expect("hexadecimal")).is_err(), "half a field");
    assert!(User::from_bytes(&hex::decode("01080112020aff2007").expect("hexadecimal")).is_err(), "no text");
    assert!(GrantRow::from_bytes(&hex::decode("010803").expect("hexadecimal")).is_err(), "no such permission");
    assert!(RingOrder::from_bytes(&hex::decode("010a00").expect("hexadecimal")).is_err(), "an empty list");
}

/// What a stranger's program declares for a row of ours: `prost`'s derive reads our bytes, and writes them.
#[derive(Clone, PartialEq, prost::Message)]
struct LockOfAStranger {
    #[prost(uint64, tag = "1")]
    owner: u64,
    #[prost(bytes = "vec", tag = "2")]
    mac_hash: Vec<u8>,
    #[prost(uint64, tag = "3")]
    fence: u64,
    #[prost(uint64, tag = "4")]
    ttl_ms: u64,
    #[prost(uint64, tag = "5")]
    expires_at: u64,
    #[prost(uint64, tag = "6")]
    wall_expires_at: u64,
    #[prost(uint64, tag = "7")]
    tree: u64,
}

#[test]
fn another_reader_of_protobuf_reads_what_is_written() {
    let lock = Lock {
        owner: UserId(300),
        mac_hash: digest(4),
        fence: Fence(u64::MAX),
        ttl_ms: 60_000,
        expires_at: ClusterTime(0),
        wall_expires_at: WallTime(10),
        tree: UserId(2),
    };
    let bytes = lock.to_bytes();
    let read = <LockOfAStranger as prost::Message>::decode(&bytes[1..]).expect("it is protobuf");
    assert_eq!((read.owner, read.fence, read.expires_at), (300, u64::MAX, 0));
    assert_eq!(read.mac_hash, digest(4).0);
    assert_eq!(prost::Message::encode_to_vec(&read), &bytes[1..]);
}

#[test]
fn an_entry_of_a_newer_schema_is_known_by_its_frame() {
    let proposal =
        Proposal { operation: None, command: Command::Reap(command::Reap { limit: 1, ..Default::default() }) };
    let stamped = Stamped { at: ClusterTime(1), wall: WallTime(2), proposal: proposal.clone() };
    let entry = stamp(stamped.at, stamped.wall, &proposal.encode(), Schema::FIRST).expect("a proposal");
    assert_eq!(entry, stamped.encode(Schema::FIRST), "the leader takes the bytes as they came");
    assert_eq!(entry, stamped.to_bytes(), "the frame of the first schema is the envelope of before");
    assert_eq!(Stamped::decode(&entry), Ok(stamped.clone()));

    let newer = stamped.encode(Schema::NEWEST.next());
    for refused in [check_frame(&newer), Stamped::decode(&newer).map(drop)] {
        let fault = refused.expect_err("a newer schema");
        assert!(fault.0.contains("start the release that the other directory nodes run"), "{fault}");
    }
    assert!(check_frame(&[]).is_err() && check_frame(&[0]).is_err());
}

#[test]
fn the_rise_of_a_schema_is_framed_by_where_it_goes() {
    let to = Schema::NEWEST.next();
    let rise = Proposal { operation: None, command: command::RaiseSchema { to: command::Raised(to) }.into() };
    let entry = stamp(ClusterTime(1), WallTime(2), &rise.encode(), Schema::FIRST).expect("a proposal");
    assert!(check_frame(&entry).is_err(), "a program that does not know it does not store it");
}

proptest::proptest! {
    /// Whatever comes over the network or from a disk: an answer or a fault, no panic.
    #[test]
    fn any_bytes_are_read_or_refused(mut bytes in proptest::collection::vec(0..=u8::MAX, 0..80), seed in 0..40_usize) {
        Stamped::decode(&bytes).ok();
        decode_answer(&bytes).ok();
        Entry::from_bytes(&bytes).ok();
        // Damage in what was valid.
        let mut golden = Golden { lines: String::new() };
        commands(&mut golden);
        let line = golden.lines.lines().cycle().nth(seed).expect("there are lines");
        let value = line.split(' ').next_back().expect("a line has a value");
        let mut valid = hex::decode(value).expect("it is hexadecimal");
        if let Some(byte) = bytes.pop() {
            let place = bytes.len() % valid.len();
            valid[place] = byte;
        }
        // One spelling for each value: what can be read is what would be written.
        if let Ok(read) = Proposal::decode(&valid) {
            proptest::prop_assert_eq!(read.encode(), valid);
        }
    }
}
