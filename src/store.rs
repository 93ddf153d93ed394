//! Objects: streamed, listed, told apart; behind the `object_store` crate. Folders now, buckets alike.
//!
//! The interface is synchronous: a [`Store`] owns a small runtime. Call it from a plain thread,
//! never from inside another runtime (it would panic).

use std::fmt;
use std::io::{self, BufRead, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt};
use tokio::runtime::Runtime;

/// Bytes of one ranged read: a request to S3 costs the same whatever it asks for, memory does not.
const RANGE_BYTES: u64 = 4 << 20;

/// Which object, and which state of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    /// The bucket, or the folder as the user named it.
    pub bucket: String,
    /// The key, decoded; never begins with `/`.
    pub key: String,
    /// The entity tag, without its quotes, if it is known.
    pub etag: Option<String>,
    /// The version of a versioned bucket, if a notice named it. It identifies; [`Store::open`] does not ask for it.
    pub version: Option<String>,
}

impl ObjectId {
    /// The object's place, `bucket/key`: the same for every state of it.
    pub fn place(&self) -> String {
        format!("{}/{}", self.bucket.trim_end_matches('/'), self.key)
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place())?;
        self.etag.iter().try_for_each(|etag| write!(f, "@{etag}"))
    }
}

/// An object as a listing or an open reader knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Which one.
    pub id: ObjectId,
    /// Its length in bytes.
    pub size: u64,
    /// When it was delivered, milliseconds since the epoch.
    pub modified: i64,
}

/// Why an object cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No such object or folder. A lifecycle rule may have removed it; trying again does not help.
    #[error("{0} does not exist")]
    NotFound(String),
    /// The object was replaced while it was read. Opening it afresh helps.
    #[error("{0} was changed while it was read: try it again")]
    Changed(String),
    /// A key that cannot be asked for, e.g. with `//` or `..` in it.
    #[error("{place}: {reason}")]
    Name {
        /// `bucket/key`.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A location that this build cannot open.
    #[error("{location}: {reason}")]
    Location {
        /// As the user wrote it.
        location: String,
        /// What to write instead.
        reason: String,
    },
    /// The network, the disk, permissions: trying again may help.
    #[error("{place}: {source}")]
    Other {
        /// `bucket/key`.
        place: String,
        /// What happened.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StoreError {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, StoreError::Changed(_) | StoreError::Other { .. })
    }

    /// The store's error inside an error of an [`ObjectReader`], if it is one.
    pub fn of(error: &io::Error) -> Option<&StoreError> {
        error.get_ref()?.downcast_ref()
    }

    fn new(place: String, error: object_store::Error) -> StoreError {
        match error {
            object_store::Error::NotFound { .. } => StoreError::NotFound(place),
            object_store::Error::Precondition { .. } => StoreError::Changed(place),
            object_store::Error::InvalidPath { source } => {
                StoreError::Name { place, reason: source.to_string() }
            }
            other => StoreError::Other { place, source: Box::new(other) },
        }
    }
}

/// Where objects are, as a command's argument names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A folder: every file in it.
    Folder(PathBuf),
    /// One file.
    File(PathBuf),
}

impl Location {
    /// What an argument names. Looks at the disk to tell a file from a folder.
    pub fn parse(argument: &str) -> Result<Location, StoreError> {
        if let Some((scheme, _)) = argument.split_once("://") {
            return Err(StoreError::Location {
                location: argument.to_owned(),
                reason: format!(
                    "unsupported scheme `{scheme}`: this build reads files and folders only"
                ),
            });
        }
        let path = PathBuf::from(argument);
        match std::fs::metadata(&path) {
            Ok(found) if found.is_dir() => Ok(Location::Folder(path)),
            Ok(_) => Ok(Location::File(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(StoreError::NotFound(argument.to_owned()))
            }
            Err(error) => {
                Err(StoreError::Other { place: argument.to_owned(), source: Box::new(error) })
            }
        }
    }

    /// Opens the store, and names the objects in key order.
    pub fn objects(&self) -> Result<(Store, Vec<Object>), StoreError> {
        match self {
            Location::Folder(folder) => {
                let store = Store::folder(folder)?;
                let objects = store.list("")?;
                Ok((store, objects))
            }
            Location::File(file) => {
                let parent = file.parent().filter(|p| !p.as_os_str().is_empty());
                let store = Store::folder(parent.unwrap_or(Path::new(".")))?;
                let name = file.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
                    let reason = "its name is not UTF-8".to_owned();
                    StoreError::Name { place: file.display().to_string(), reason }
                })?;
                let object = store.look(name)?;
                Ok((store, vec![object]))
            }
        }
    }
}

/// A bucket, or a folder that stands in for one. Cheap to clone; clones share the connection.
#[derive(Debug, Clone)]
pub struct Store {
    bucket: String,
    objects: Arc<dyn ObjectStore>,
    runtime: Arc<Runtime>,
}

impl Store {
    /// A folder as a bucket: its path is the bucket's name, keys are relative to it.
    ///
    /// Not promised: names that end in `#` and digits, which the crate keeps for its own uploads.
    pub fn folder(folder: &Path) -> Result<Store, StoreError> {
        let bucket = folder.display().to_string();
        if !folder.is_dir() {
            return Err(StoreError::NotFound(bucket));
        }
        let objects = LocalFileSystem::new_with_prefix(folder)
            .map_err(|error| StoreError::new(bucket.clone(), error))?;
        Store::new(bucket, Arc::new(objects))
    }

    /// Any store of the crate, under a bucket's name.
    pub fn new(bucket: String, objects: Arc<dyn ObjectStore>) -> Result<Store, StoreError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| StoreError::Other {
            place: bucket.clone(),
            source: Box::new(error),
        })?;
        Ok(Store { bucket, objects, runtime: Arc::new(runtime) })
    }

    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Opens an object as it is now, whatever state of it a notice named: landing is idempotent,
    /// and what Firehose rewrote holds what was there before.
    ///
    /// All reads are of the state that [`ObjectReader::object`] then names, or end in
    /// [`StoreError::Changed`].
    pub fn open(&self, key: &str) -> Result<ObjectReader, StoreError> {
        let name = self.name(key)?;
        let first = self.get(&name, 0, None);
        let (meta, chunk) = match first {
            Ok(answer) => answer,
            Err(StoreError::Other { place, source }) => match self.look(key) {
                // A range of an empty object cannot be satisfied.
                Ok(object) if object.size == 0 => {
                    return Ok(ObjectReader::new(self, name, object, None, Vec::new()));
                }
                _ => return Err(StoreError::Other { place, source }),
            },
            Err(error) => return Err(error),
        };
        let etag = meta.e_tag.clone();
        Ok(ObjectReader::new(self, name, self.object(meta), etag, chunk))
    }

    /// What an object is now, without its bytes.
    pub fn look(&self, key: &str) -> Result<Object, StoreError> {
        let name = self.name(key)?;
        let meta = self.runtime.block_on(self.objects.head(&name));
        Ok(self.object(meta.map_err(|error| StoreError::new(self.place(key), error))?))
    }

    /// The objects below a prefix that ends at a `/` (or is empty), in the order of their keys' bytes.
    pub fn list(&self, prefix: &str) -> Result<Vec<Object>, StoreError> {
        let name = self.name(prefix)?;
        let listing = self.objects.list(Some(&name)).try_collect::<Vec<_>>();
        let metas = self.runtime.block_on(listing);
        let metas = metas.map_err(|error| StoreError::new(self.place(prefix), error))?;
        let mut objects: Vec<_> = metas.into_iter().map(|meta| self.object(meta)).collect();
        objects.sort_unstable_by(|a, b| a.id.key.cmp(&b.id.key));
        Ok(objects)
    }

    fn get(
        &self,
        name: &Key,
        offset: u64,
        etag: Option<&str>,
    ) -> Result<(ObjectMeta, Vec<u8>), StoreError> {
        let options = GetOptions {
            range: Some(GetRange::Bounded(offset..offset + RANGE_BYTES)),
            if_match: etag.map(str::to_owned),
            ..GetOptions::default()
        };
        let answer = self.runtime.block_on(async {
            let answer = self.objects.get_opts(name, options).await?;
            let meta = answer.meta.clone();
            Ok((meta, answer.bytes().await?.into()))
        });
        answer.map_err(|error| StoreError::new(self.place(name.as_ref()), error))
    }

    fn name(&self, key: &str) -> Result<Key, StoreError> {
        Key::parse(key)
            .map_err(|error| StoreError::Name { place: self.place(key), reason: error.to_string() })
    }

    fn place(&self, key: &str) -> String {
        format!("{}/{key}", self.bucket.trim_end_matches('/'))
    }

    fn object(&self, meta: ObjectMeta) -> Object {
        Object {
            id: ObjectId {
                bucket: self.bucket.clone(),
                key: String::from(meta.location),
                etag: meta.e_tag.map(|etag| etag.trim_matches('"').to_owned()),
                version: meta.version,
            },
            size: meta.size,
            modified: meta.last_modified.timestamp_millis(),
        }
    }
}

/// The bytes of one object, a range at a time. Its errors hold a [`StoreError`]: see [`StoreError::of`].
#[derive(Debug)]
pub struct ObjectReader {
    store: Store,
    name: Key,
    object: Object,
    /// As the store writes it, with its quotes.
    etag: Option<String>,
    chunk: Cursor<Vec<u8>>,
    fetched: u64,
}

impl ObjectReader {
    fn new(
        store: &Store,
        name: Key,
        object: Object,
        etag: Option<String>,
        chunk: Vec<u8>,
    ) -> ObjectReader {
        let fetched = chunk.len() as u64;
        let chunk = Cursor::new(chunk);
        ObjectReader { store: store.clone(), name, object, etag, chunk, fetched }
    }

    /// Which state of which object is read.
    pub fn object(&self) -> &Object {
        &self.object
    }

    fn fetch(&mut self) -> Result<(), StoreError> {
        let (_, chunk) = self.store.get(&self.name, self.fetched, self.etag.as_deref())?;
        if chunk.is_empty() {
            return Err(StoreError::Changed(self.object.id.place()));
        }
        self.fetched += chunk.len() as u64;
        self.chunk = Cursor::new(chunk);
        Ok(())
    }
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.chunk.fill_buf()?.is_empty() && self.fetched < self.object.size {
            self.fetch().map_err(io::Error::other)?;
        }
        self.chunk.read(buffer)
    }
}
