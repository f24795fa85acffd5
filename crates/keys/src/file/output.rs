//! Writing files: whole or not at all, private ones with mode 0600 from their first byte.
//!
//! A temporary file is made beside the destination, filled, flushed to the disk, and renamed. What stood at the
//! destination is replaced only where that was asked for, a symbolic link there never, and after an error nothing
//! is left behind.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::random;

/// Whether a file that is already there may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// It is kept, and writing is an error.
    No,
    /// It is replaced, in one step.
    Yes,
}

/// Why a file was not written. Whatever was at the destination before is there still, except after
/// [`WriteFileError::NotDurable`].
#[derive(Debug, thiserror::Error)]
pub enum WriteFileError {
    /// The path ends in no file name.
    #[error("'{path}' names no file")]
    NoFileName {
        /// The path.
        path: PathBuf,
    },
    /// The directory that the file should be in is not there.
    #[error("{path} cannot be written: the directory {directory} does not exist; run: mkdir -p {directory}")]
    MissingDirectory {
        /// The file.
        path: PathBuf,
        /// The directory.
        directory: PathBuf,
    },
    /// What should be a directory is something else.
    #[error("{path} cannot be written: {directory} is not a directory")]
    NotADirectory {
        /// The file.
        path: PathBuf,
        /// What should be its directory.
        directory: PathBuf,
    },
    /// A file is there already.
    #[error("{path} exists already and is not overwritten; move it away or choose another name")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A symbolic link is there.
    #[error("{path} is a symbolic link, and keys are not written through links; name the file that is meant")]
    SymbolicLink {
        /// The link.
        path: PathBuf,
    },
    /// Something is there that is no file: a directory, a pipe, a device.
    #[error("{path} is {what}, not a file; choose another name")]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What is there.
        what: &'static str,
    },
    /// The disk, the quota or the size limit is exhausted.
    #[error("{path} cannot be written: no room on its file system ({source}); nothing was written")]
    NoSpace {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// This process may not write there.
    #[error(
        "{path} cannot be written: user {user} may not create files in {directory} ({source}); nothing was written"
    )]
    Denied {
        /// The file.
        path: PathBuf,
        /// Its directory.
        directory: PathBuf,
        /// The user that this process runs as.
        user: u32,
        /// The operating system's reason.
        source: io::Error,
    },
    /// No random bytes for the temporary file's name.
    #[error(transparent)]
    Random(#[from] random::RandomError),
    /// The file is in its place, and its directory was not flushed to the disk.
    #[error(
        "{path} was written, and may be lost if the power fails now: its directory was not flushed ({source})"
    )]
    NotDurable {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The operating system refused for another reason.
    #[error("{path} cannot be written ({step}: {source}); nothing was written")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done.
        step: &'static str,
        /// The operating system's reason.
        source: io::Error,
    },
}

/// Writes a file that holds a secret: mode 0600, whatever the umask.
///
/// # Errors
/// [`WriteFileError`]; nothing has been written then.
pub fn write_private(path: &Path, bytes: &[u8], replace: Replace) -> Result<(), WriteFileError> {
    write(path, bytes, replace, Mode::from_raw_mode(0o600))
}

/// Writes a file that everybody may read, such as a certificate: mode 0644, less what the umask takes away.
///
/// # Errors
/// [`WriteFileError`]; nothing has been written then.
pub fn write_public(path: &Path, bytes: &[u8], replace: Replace) -> Result<(), WriteFileError> {
    write(path, bytes, replace, Mode::from_raw_mode(0o644))
}

fn write(path: &Path, bytes: &[u8], replace: Replace, mode: Mode) -> Result<(), WriteFileError> {
    let no_name = || WriteFileError::NoFileName { path: path.to_owned() };
    let name = path.file_name().ok_or_else(no_name)?;
    if path.as_os_str().as_bytes().ends_with(b"/") {
        return Err(no_name());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let target = Target { path, parent, name };

    let directory = target.open_directory()?;
    target.check_destination(&directory, replace)?;
    let mut temporary = Temporary::create(&target, &directory, mode)?;
    temporary.fill(&target, bytes, mode)?;
    temporary.publish(&target, replace)?;
    // The file is in its place; without this a power failure could take the name back.
    match directory.sync_all() {
        // Some network file systems cannot flush a directory and say so with EINVAL.
        Err(source) if Errno::from_io_error(&source) != Some(Errno::INVAL) => {
            Err(WriteFileError::NotDurable { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Where a file goes.
struct Target<'a> {
    path: &'a Path,
    parent: &'a Path,
    name: &'a OsStr,
}

impl Target<'_> {
    fn open_directory(&self) -> Result<File, WriteFileError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::openat(CWD, self.parent, flags, Mode::empty()) {
            Ok(directory) => Ok(File::from(directory)),
            Err(Errno::NOENT) => Err(WriteFileError::MissingDirectory {
                path: self.path.to_owned(),
                directory: self.parent.to_owned(),
            }),
            Err(Errno::NOTDIR) => Err(WriteFileError::NotADirectory {
                path: self.path.to_owned(),
                directory: self.parent.to_owned(),
            }),
            Err(error) => Err(self.failed("open the directory", error.into())),
        }
    }

    /// Refuses early what the rename would refuse late, and what it would not refuse at all.
    fn check_destination(&self, directory: &File, replace: Replace) -> Result<(), WriteFileError> {
        let path = self.path.to_owned();
        let stat = match rustix::fs::statat(directory, self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(self.failed("look at the destination", error.into())),
            Ok(stat) => stat,
        };
        let what = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile if replace == Replace::Yes => return Ok(()),
            FileType::RegularFile => return Err(WriteFileError::Exists { path }),
            FileType::Symlink => return Err(WriteFileError::SymbolicLink { path }),
            FileType::Directory => "a directory",
            FileType::Fifo => "a pipe",
            FileType::Socket => "a socket",
            _ => "a device",
        };
        Err(WriteFileError::NotAFile { path, what })
    }

    fn failed(&self, step: &'static str, source: io::Error) -> WriteFileError {
        let path = self.path.to_owned();
        match Errno::from_io_error(&source) {
            Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => WriteFileError::NoSpace { path, source },
            Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => WriteFileError::Denied {
                path,
                directory: self.parent.to_owned(),
                user: rustix::process::geteuid().as_raw(),
                source,
            },
            _ => WriteFileError::Io { path, step, source },
        }
    }
}

/// A file beside the destination that disappears again unless it is published.
struct Temporary<'a> {
    directory: &'a File,
    name: OsString,
    file: File,
    published: bool,
}

impl<'a> Temporary<'a> {
    fn create(target: &Target<'_>, directory: &'a File, mode: Mode) -> Result<Self, WriteFileError> {
        // 64 random bits: a name that is taken is somebody's attack or a broken generator, so one try is enough.
        // The destination's name is not part of it, since that may have the greatest length allowed already.
        let name = OsString::from(format!(".countersign-{}.tmp", pki::hex(&random::random_bytes::<8>()?)));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(directory, &name, flags, mode)
            .map_err(|error| target.failed("create a temporary file", error.into()))?;
        Ok(Temporary { directory, name, file: File::from(file), published: false })
    }

    fn fill(&mut self, target: &Target<'_>, bytes: &[u8], mode: Mode) -> Result<(), WriteFileError> {
        if mode == Mode::from_raw_mode(0o600) {
            // A umask can take the owner's own rights away; it can never have added any.
            rustix::fs::fchmod(&self.file, mode)
                .map_err(|error| target.failed("set the mode", error.into()))?;
        }
        self.file.write_all(bytes).map_err(|source| target.failed("write", source))?;
        self.file.sync_all().map_err(|source| target.failed("flush", source))
    }

    fn publish(&mut self, target: &Target<'_>, replace: Replace) -> Result<(), WriteFileError> {
        let renamed = match replace {
            Replace::Yes => rustix::fs::renameat(self.directory, &self.name, self.directory, target.name),
            Replace::No => self.rename_without_replacing(target.name),
        };
        match renamed {
            Ok(()) => {
                self.published = true;
                Ok(())
            }
            Err(Errno::EXIST) => Err(WriteFileError::Exists { path: target.path.to_owned() }),
            Err(error) => Err(target.failed("rename", error.into())),
        }
    }

    /// The check for an existing file was earlier; this one cannot be overtaken by another process.
    fn rename_without_replacing(&self, name: &OsStr) -> Result<(), Errno> {
        #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
        match rustix::fs::renameat_with(
            self.directory,
            &self.name,
            self.directory,
            name,
            rustix::fs::RenameFlags::NOREPLACE,
        ) {
            // File systems without that flag (NFS, some FUSE) get a hard link instead, which never replaces.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
            done => return done,
        }
        rustix::fs::linkat(self.directory, &self.name, self.directory, name, AtFlags::empty())?;
        // The file is in its place now, whatever becomes of its other name.
        let _ = rustix::fs::unlinkat(self.directory, &self.name, AtFlags::empty());
        Ok(())
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.published {
            // Nothing can be done where even this fails; the error that led here is the one to report.
            let _ = rustix::fs::unlinkat(self.directory, &self.name, AtFlags::empty());
        }
    }
}
