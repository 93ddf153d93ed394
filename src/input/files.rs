//! The files that arguments name, and the log stream of each.
//!
//! The stream is part of an event's identity. So a log keeps it when `logrotate` renames it, when
//! it is copied, and whether the file or its folder is named.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use crate::store::{Location, StoreError, folder};

/// The stream of an unnamed pipe.
const STDIN: &str = "stdin";

/// The suffixes that `logrotate` and similar programs append to a name; a 9 stands for any digit.
const SUFFIXES: [&str; 2] = [".gz", ".old"];
const NUMBERS: [&str; 3] = [".9", ".99", ".999"];
/// The dates that follow a name or precede its extension (`extension .log`), after a dot, a dash or
/// an underscore.
const DATES: [&str; 9] = [
    "99999999",
    "9999-99-99",
    "9999999999",
    "99999999-99",
    "99999999-9999",
    "99999999-999999",
    "9999-99-99-99",
    "9999-99-99_99-99-99",
    "99999999-9999999999",
];

/// A file to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    /// Its path.
    pub path: PathBuf,
    /// The log stream of its lines: its name without the suffix of a rotation. Files with the same
    /// name in different folders are prefixed with their path, `host1/messages`.
    pub log_stream: String,
}

/// The files that arguments name: files themselves, or all files of a folder in name order.
///
/// Logs in different folders never share a stream, so that the lines of two hosts' `messages` are
/// not confused.
pub fn files(arguments: &[String]) -> Result<Vec<InputFile>, StoreError> {
    let mut files = Vec::new();
    for argument in arguments {
        match Location::parse(argument)? {
            Location::File(path) | Location::Pipe(path) => files.push(named(path)),
            Location::Folder(folder) => {
                let paths = walk(&folder).map_err(|error| StoreError::other(argument, error))?;
                files.extend(paths.into_iter().map(named));
            }
            #[cfg(feature = "s3")]
            Location::Bucket { .. } => {
                let reason = "inputs are files and folders: use `hiwake land` to land a bucket";
                return Err(StoreError::name(argument, reason));
            }
        }
    }
    keep_apart(&mut files).map_err(|(path, error)| StoreError::other(path.display(), error))?;
    Ok(files)
}

fn named(path: PathBuf) -> InputFile {
    // `<(…)` creates files in a folder called `fd`.
    let is_descriptor = path.parent().is_some_and(|folder| folder.ends_with("fd"));
    let log_stream = match path.to_str() {
        Some("-" | "/dev/stdin") => STDIN.to_owned(),
        _ if is_descriptor && (path.starts_with("/dev") || path.starts_with("/proc")) => {
            STDIN.to_owned()
        }
        _ => unrotated(&path.file_name().unwrap_or_default().to_string_lossy()),
    };
    InputFile { path, log_stream }
}

/// The name that a log had before it was rotated: `messages` for `messages-20220418.gz` and
/// `messages.1`. But `10.0.0.1` is a host, and `web.1.log` may be the first of several programs.
fn unrotated(name: &str) -> String {
    let shape: String = name.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    if let Some(stem) = SUFFIXES.iter().find_map(|suffix| shape.strip_suffix(suffix))
        && !stem.is_empty()
    {
        return unrotated(&name[..stem.len()]);
    }
    let number = NUMBERS.iter().find_map(|number| shape.strip_suffix(number));
    let number = number.filter(|rest| !NUMBERS.iter().any(|number| rest.ends_with(number)));
    if let Some(stem) = number.or_else(|| dateless(&shape)).filter(|stem| is_name(stem)) {
        return unrotated(&name[..stem.len()]);
    }
    match shape.rsplit_once('.') {
        Some((stem, extension)) if extension.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
            let rest = dateless(stem).filter(|rest| is_name(rest)).unwrap_or(stem);
            format!("{}{}", &name[..rest.len()], &name[stem.len()..])
        }
        _ => name.to_owned(),
    }
}

/// The part of a name before its date.
fn dateless(shape: &str) -> Option<&str> {
    let rests =
        DATES.iter().filter_map(|date| shape.strip_suffix(date)?.strip_suffix(['.', '-', '_']));
    rests.min_by_key(|rest| rest.len())
}

/// Whether a part can be a name: not only dates and numbers.
fn is_name(shape: &str) -> bool {
    shape.chars().any(char::is_alphabetic)
}

/// Prefixes the streams of logs that would share one although they are in different folders with
/// their path from the folder that contains them all.
fn keep_apart(files: &mut [InputFile]) -> Result<(), (PathBuf, io::Error)> {
    let mut places = BTreeMap::<String, BTreeSet<PathBuf>>::new();
    let mut folders = Vec::new();
    for file in files.iter().map(|file| (&file.log_stream, &file.path)) {
        let (stream, path) = file;
        let folder = match stream == STDIN {
            true => PathBuf::new(),
            false => folder(path).map_err(|error| (path.clone(), error))?,
        };
        places.entry(stream.clone()).or_default().insert(folder.clone());
        folders.push(folder);
    }
    for (file, folder) in files.iter_mut().zip(folders) {
        let mut others = places[&file.log_stream].iter();
        let Some(first) = others.next() else { continue };
        let above = others.fold(first.as_path(), |above, other| {
            above.ancestors().find(|above| other.starts_with(above)).unwrap_or(above)
        });
        let way = folder.strip_prefix(above).unwrap_or(&folder).join(&file.log_stream);
        file.log_stream = way.to_string_lossy().into_owned();
    }
    Ok(())
}

/// The canonical path of a file's folder.
fn folder(path: &Path) -> io::Result<PathBuf> {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new(".").canonicalize(),
        Some(parent) => parent.canonicalize(),
        None => Ok(PathBuf::new()),
    }
}

/// All files below a folder, in name order.
fn walk(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries: Vec<_> =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    entries.sort_unstable();
    let mut files = Vec::new();
    for path in entries {
        let found = std::fs::metadata(&path)?;
        if found.is_dir() {
            files.extend(walk(&path)?);
        } else if found.is_file() {
            files.push(path);
        } else {
            let reason = format!("{}: {}", path.display(), folder::NO_FILE);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
    }
    Ok(files)
}
