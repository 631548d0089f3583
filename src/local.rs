//! Names of this machine's file system: what they lead to, and ways to open them that neither wait nor follow.
//!
//! A name may lead to a pipe, a device or a socket, whoever has put it there. Opening a pipe waits for its other end, and a
//! new file under an old name takes the place of a device. So whoever opens a name asks here first.

use std::fmt;
use std::fs::{self, DirBuilder, File, FileType, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// What a name leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    File,
    Directory,
    Link,
    Block,
    Character,
    Pipe,
    Socket,
}

impl Kind {
    pub fn of(found: FileType) -> Self {
        if found.is_file() {
            Self::File
        } else if found.is_dir() {
            Self::Directory
        } else if found.is_symlink() {
            Self::Link
        } else if found.is_block_device() {
            Self::Block
        } else if found.is_char_device() {
            Self::Character
        } else if found.is_fifo() {
            Self::Pipe
        } else {
            Self::Socket
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "a file",
            Self::Directory => "a directory",
            Self::Link => "a link",
            Self::Block => "a block device",
            Self::Character => "a device",
            Self::Pipe => "a pipe",
            Self::Socket => "a socket",
        })
    }
}

/// Opens a file to read from. Links are followed, but nothing is waited for.
///
/// # Errors
/// When it cannot be opened; of kind `InvalidInput` when it is something else than a file.
pub fn open_file(path: &Path) -> io::Result<File> {
    // Some devices do things when they are opened, so this asks before; and again of what was opened, since the name may
    // lead elsewhere by then.
    must_be_file(fs::metadata(path)?.file_type())?;
    let file = File::options().read(true).custom_flags(flags(OFlags::NONBLOCK | OFlags::NOCTTY)).open(path)?;
    must_be_file(file.metadata()?.file_type())?;
    Ok(file)
}

/// Reads a file that is nobody's business but its owner's: a key, a token.
///
/// # Errors
/// As [`open_file`]; of kind `PermissionDenied` where its group or others may read or write it, with the command that mends
/// that.
pub fn read_secret(path: &Path) -> io::Result<String> {
    let mut file = open_file(path)?;
    // Of what was opened: the name may lead elsewhere by now.
    let mode = file.metadata()?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let text = format!(
            "its mode is {mode:o}, so that others on this machine may use it: `chmod 600 {}`, and make a new one if any of \
             them may have read it",
            path.display()
        );
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text)
}

/// Opens a file to be locked or written, or makes it, for its owner alone. A link is not followed.
///
/// # Errors
/// As [`open_file`].
pub fn open_private(path: &Path) -> io::Result<File> {
    match fs::symlink_metadata(path) {
        Ok(found) => must_be_file(found.file_type())?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let wary = flags(OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW);
    let file = private().create(true).custom_flags(wary).open(path)?;
    must_be_file(file.metadata()?.file_type())?;
    Ok(file)
}

/// Makes an empty file for its owner alone. Whatever had the name before is removed, and not written through.
///
/// # Errors
/// When it cannot be made, or a directory has the name.
pub fn create_private(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    private().create_new(true).open(path)
}

/// To write with. What is made by it is its owner's alone.
pub fn private() -> OpenOptions {
    let mut options = File::options();
    options.write(true).mode(0o600);
    options
}

/// Makes a folder, and those above it that are lacking, with this mode and the umask. Their names are on the disk when this
/// returns, where the file system can do that.
///
/// # Errors
/// When one cannot be made, or cannot be synced.
pub fn make_folders(path: &Path, mode: u32) -> io::Result<()> {
    let lacking: Vec<&Path> =
        path.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists()).collect();
    DirBuilder::new().recursive(true).mode(mode).create(path)?;
    lacking.into_iter().try_for_each(|folder| sync_folder(folder_of(folder)))
}

/// Takes from a folder what its group and others may do with it, and so all that is below it from them.
///
/// # Errors
/// When it is not there; when it is somebody else's, with what to do.
pub fn close_folder(path: &Path) -> io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode & !0o077)).map_err(|error| {
        let shown = path.display();
        io::Error::new(
            error.kind(),
            format!(
                "others on this machine may use {shown}, and that cannot be changed ({error}): `chmod 700 {shown}`"
            ),
        )
    })
}

/// Where a name is.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes the names in a folder durable, where its file system can do that.
///
/// # Errors
/// When the disk fails.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    // Whoever may write names into a folder need not be allowed to read them.
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error) if !matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported) => Err(error),
        _ => Ok(()),
    }
}

/// As the options of an opening have them.
pub fn flags(flags: OFlags) -> i32 {
    flags.bits().cast_signed()
}

fn must_be_file(found: FileType) -> io::Result<()> {
    match Kind::of(found) {
        Kind::File => Ok(()),
        kind => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {kind}, not a file"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_made_with_those_above_them() {
        let dir = tempfile::tempdir().expect("a directory");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        let (deep, above) = (dir.path().join("a/b/c"), dir.path().join("a"));
        make_folders(&deep, 0o700).expect("made");
        assert_eq!((mode(&deep), mode(&above)), (0o700, 0o700));
        make_folders(&deep, 0o700).expect("they are there");
        std::os::unix::fs::symlink("a", dir.path().join("link")).expect("linked");
        make_folders(&dir.path().join("link"), 0o700).expect("a link to a folder is one");
        fs::write(dir.path().join("file"), "x").expect("written");
        make_folders(&dir.path().join("file/d"), 0o700).expect_err("a file is none");
        assert_eq!(folder_of(Path::new("a")), Path::new("."));
    }

    #[test]
    fn nothing_but_files_is_opened_and_nothing_is_waited_for() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), "x").expect("written");
        std::os::unix::fs::symlink("file", at("link")).expect("linked");
        rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)
            .expect("made");
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).expect("bound");
        open_file(&at("file")).expect("a file");
        open_file(&at("link")).expect("a link to a file");
        open_private(&at("new")).expect("a new file");
        for (name, said) in [("pipe", "a pipe"), ("socket", "a socket"), (".", "a directory")] {
            for error in [open_file(&at(name)).expect_err(name), open_private(&at(name)).expect_err(name)] {
                assert_eq!(error.to_string(), format!("it is {said}, not a file"));
            }
        }
        open_private(&at("link")).expect_err("a link is not written through");
        create_private(&at("link")).expect("made in its place");
        assert_eq!(fs::read(at("file")).expect("there"), b"x");
        assert!(fs::symlink_metadata(at("link")).expect("there").is_file());
    }
}
