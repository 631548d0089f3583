use std::io::Read;
use std::process::Stdio;

use super::{Desk, is_device, noise};

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_enough_ends_it_quietly() {
    let desk = Desk::new().await;
    desk.store("/a", noise(8 << 20)).await;
    let mut command = desk.ringmaster(&["cat", "/a", "/a"]);
    let (code, said) = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().expect("it starts");
        let mut out = child.stdout.take().expect("piped");
        out.read_exact(&mut [0; 10]).expect("ten bytes");
        drop(out);
        let output = child.wait_with_output().expect("it ends");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    })
    .await
    .expect("no panic");
    assert_eq!((code, said.as_str()), (Some(0), ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_writes_into_whatever_standard_output_is() {
    let desk = Desk::new().await;
    desk.store("/a", "bytes").await;
    let file = desk.write("file", "mine ");
    std::fs::hard_link(&file, desk.at("other")).expect("linked");
    desk.sh("exec \"$R\" cat /a /a >> file").await.is(0, &[]);
    assert_eq!(desk.read("other"), b"mine bytesbytes");
    let mut command = desk.ringmaster(&["cat", "/a"]);
    command.stdout(Stdio::from(std::fs::File::options().write(true).open("/dev/full").expect("a device")));
    super::finish(command).await.is(1, &["No space left on device", "hint: make room"]);
    let Some(null) = desk.device("null", "3") else { return };
    desk.sh("exec \"$R\" cat /a > null").await.is(0, &[]);
    assert!(is_device(&null));
}
