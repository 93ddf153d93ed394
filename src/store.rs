//! Reads, lists and identifies objects, in folders and buckets alike, through the `object_store`
//! crate.
//!
//! The interface is synchronous: a [`Store`] owns a small runtime. Call it from a plain thread,
//! never from inside another runtime (it would panic).

#[cfg(feature = "s3")]
mod bucket;
mod dated;
mod error;
pub(crate) mod folder;
pub mod pipe;

use std::fmt;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures_util::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path as Key;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt};
use tokio::runtime::{Builder, Runtime};

pub use self::error::{Result, StoreError};
use self::pipe::Spool;
use crate::disk::is_absent;

/// The bytes of one ranged read. A request to S3 costs the same for any range, but memory does not.
const RANGE_BYTES: u64 = 4 << 20;

/// Why an object whose key is listed twice is not read.
const TWICE: &str =
    "another key differs only by a `/` at one end, and cannot be requested: copy it to another key";

/// Identifies an object and one state of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    /// The bucket, or the folder as the user named it.
    pub bucket: String,
    /// The key, decoded; never begins with `/`.
    pub key: String,
    /// The entity tag without its quotes, if known.
    pub etag: Option<String>,
    /// The version in a versioned bucket, if a notice named it. It identifies the object;
    /// [`Store::open`] does not request it.
    pub version: Option<String>,
}

impl ObjectId {
    /// The object's location, `bucket/key`, which is the same for all its states.
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

/// An object as a listing or an open reader describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its identity.
    pub id: ObjectId,
    /// Its length in bytes.
    pub size: u64,
    /// When it was delivered, milliseconds since the epoch.
    pub modified: i64,
}

/// Opens a bucket by its name.
pub(crate) type Buckets<'b> = dyn Fn(&str) -> Result<Store> + 'b;

/// The location of objects, as a command's argument names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A folder: all files in it.
    Folder(PathBuf),
    /// One file.
    File(PathBuf),
    /// An input that can be read only once: standard input (`-`), a pipe, a file of `/proc`.
    Pipe(PathBuf),
    /// `s3://bucket/prefix`: the object whose key is the prefix, and all whose keys continue it
    /// with a `/`.
    #[cfg(feature = "s3")]
    Bucket {
        /// The bucket's name.
        bucket: String,
        /// The prefix without a trailing `/`; empty for the whole bucket.
        prefix: String,
    },
}

impl Location {
    /// Parses an argument. It examines the disk to distinguish files from folders.
    pub fn parse(argument: &str) -> Result<Location> {
        if let Some((scheme, _place)) = argument.split_once("://") {
            #[cfg(feature = "s3")]
            if let ("s3", Some(location)) = (scheme, Location::bucket(_place)) {
                return Ok(location);
            }
            return Err(StoreError::name(argument, unsupported(scheme)));
        }
        let path = PathBuf::from(argument);
        if argument == pipe::STDIN {
            return Ok(Location::Pipe(path));
        }
        match std::fs::metadata(&path) {
            Ok(found) if found.is_dir() => Ok(Location::Folder(path)),
            // Files of /proc have content but report a length of 0.
            Ok(found) if found.is_file() && found.len() > 0 => Ok(Location::File(path)),
            Ok(_) => Ok(Location::Pipe(path)),
            Err(error) if is_absent(&error) => Err(StoreError::NotFound(argument.to_owned())),
            Err(error) => Err(StoreError::other(argument, error)),
        }
    }

    /// Opens the store and lists the objects in key order; `buckets` opens a bucket by its name.
    /// With a time, only objects delivered in it: [`Object::modified`] decides, but keys that
    /// name another day are not even listed.
    pub fn objects(
        &self,
        #[cfg_attr(not(feature = "s3"), allow(unused_variables))] buckets: &Buckets<'_>,
        time: Option<&Range<i64>>,
    ) -> Result<(Store, Vec<Object>)> {
        let (store, mut objects) = match self {
            #[cfg(feature = "s3")]
            Location::Bucket { bucket, prefix } => {
                let store = buckets(bucket)?;
                let objects = store.list_or_look(prefix, time)?;
                (store, objects)
            }
            Location::Folder(folder) => {
                let store = Store::folder(folder)?;
                let objects = store.list_delivered("", time)?;
                (store, objects)
            }
            Location::Pipe(path) => {
                let store = Store::pipe(path)?;
                let object = store.spool.iter().map(|spool| store.object(spool.meta.clone()));
                let objects = object.collect();
                (store, objects)
            }
            Location::File(file) => {
                let parent = file.parent().filter(|p| !p.as_os_str().is_empty());
                let store = Store::folder(parent.unwrap_or(Path::new(".")))?;
                let name = file
                    .file_name()
                    .and_then(|name| name.to_str())
                    .ok_or_else(|| StoreError::name(file.display(), "its name is not UTF-8"))?;
                folder::check_name(file, name)?;
                let object = store.look(name)?;
                (store, vec![object])
            }
        };
        objects.retain(|object| time.is_none_or(|time| time.contains(&object.modified)));
        Ok((store, objects))
    }
}

/// Why this build cannot open a location.
fn unsupported(scheme: &str) -> String {
    match (scheme, cfg!(feature = "s3")) {
        ("s3", true) => "write s3://bucket or s3://bucket/prefix".to_owned(),
        (_, true) => format!("unsupported scheme `{scheme}`: use files, folders or s3://"),
        _ => format!("unsupported scheme `{scheme}`: this build reads files and folders only"),
    }
}

/// A bucket, or a folder that stands in for one. Cheap to clone; clones share the connection.
#[derive(Debug, Clone)]
pub struct Store {
    bucket: String,
    objects: Arc<dyn ObjectStore>,
    /// The folder, if the objects are in one.
    folder: Option<PathBuf>,
    /// The only object, if it is a pipe's.
    spool: Option<Arc<Spool>>,
    runtime: Arc<Runtime>,
    deadline: Option<Instant>,
    /// Counts the bytes that readers fetch.
    fetched: Arc<AtomicU64>,
}

impl Store {
    /// A folder as a bucket: its path is the bucket's name, and keys are relative to it.
    ///
    /// Names that end in `#` and digits (the crate reserves them for its uploads), dangling links,
    /// and entries that are neither file nor folder cannot be read. Listing one is an error.
    pub fn folder(folder: &Path) -> Result<Store> {
        let bucket = folder.display().to_string();
        if !folder.is_dir() {
            return Err(StoreError::NotFound(bucket));
        }
        let objects = LocalFileSystem::new_with_prefix(folder)
            .map_err(|error| StoreError::new(bucket.clone(), error))?;
        // A folder needs no network: opening sockets could fail needlessly.
        let runtime = runtime(&bucket, Builder::new_current_thread().enable_time())?;
        let store = Store::new(bucket, Arc::new(objects), runtime);
        Ok(Store { folder: Some(folder.to_owned()), ..store })
    }

    /// A pipe's content, read to its end: a bucket with one object, named like the pipe.
    fn pipe(path: &Path) -> Result<Store> {
        let bucket = path.display().to_string();
        let spool = Spool::new(path).map_err(|error| StoreError::other(&bucket, error))?;
        let spool = Some(Arc::new(spool));
        Ok(Store { spool, ..Store::memory(&bucket)? })
    }

    /// Objects in memory under a bucket's name, for rows that are produced on this machine.
    pub(crate) fn memory(bucket: &str) -> Result<Store> {
        let runtime = runtime(bucket, Builder::new_current_thread().enable_time())?;
        Ok(Store::new(bucket.to_owned(), Arc::new(InMemory::new()), runtime))
    }

    /// Any of the crate's stores under a bucket's name.
    fn new(bucket: String, objects: Arc<dyn ObjectStore>, runtime: Arc<Runtime>) -> Store {
        let fetched = Arc::default();
        Store { bucket, objects, folder: None, spool: None, runtime, deadline: None, fetched }
    }

    /// The same store with a deadline for requests and for the pauses between their retries. After
    /// it they fail with [`StoreError::Deadline`].
    #[must_use]
    pub(crate) fn until(&self, deadline: Instant) -> Store {
        Store { deadline: Some(deadline), ..self.clone() }
    }

    /// The same store; readers add the bytes that they fetch to a count, for a progress display.
    #[must_use]
    pub fn counted(&self, fetched: Arc<AtomicU64>) -> Store {
        Store { fetched, ..self.clone() }
    }

    /// Opens the current state of an object, whatever state a notice named: landing is idempotent,
    /// and an object that Firehose rewrote still contains its previous content.
    ///
    /// All reads return the state that [`ObjectReader::object`] names, or fail with
    /// [`StoreError::Changed`].
    pub fn open(&self, key: &str) -> Result<ObjectReader> {
        let name = self.name(key)?;
        let (meta, chunk) = match self.get(&name, 0, None) {
            // An empty object cannot satisfy a range.
            Err(error @ StoreError::Other { .. }) => match self.head(&name) {
                Ok(meta) if meta.size == 0 => (meta, Vec::new()),
                _ => return Err(error),
            },
            answer => answer?,
        };
        let (store, etag, fetched) = (self.clone(), meta.e_tag.clone(), chunk.len() as u64);
        let object = self.object(meta);
        Ok(ObjectReader { store, name, object, etag, chunk, taken: 0, fetched })
    }

    /// An object's current state, without its bytes.
    pub fn look(&self, key: &str) -> Result<Object> {
        Ok(self.object(self.head(&self.name(key)?)?))
    }

    fn head(&self, name: &Key) -> Result<ObjectMeta> {
        match &self.spool {
            Some(spool) => Ok(spool.meta.clone()),
            None => self.block_on(name.as_ref(), self.objects.head(name)),
        }
    }

    /// The objects below a prefix that ends at a `/` (or is empty), in the byte order of their
    /// keys. Empty objects are skipped: they contain nothing, and the S3 console's folders are
    /// such objects.
    pub fn list(&self, prefix: &str) -> Result<Vec<Object>> {
        let name = self.prefix(prefix)?;
        let listing = self.objects.list(Some(&name)).try_collect::<Vec<_>>();
        let metas = self.block_on(prefix, listing)?;
        self.check_folder(prefix, true)?;
        let mut objects = self.filled(metas);
        objects.sort_unstable_by(|a, b| a.id.key.cmp(&b.id.key));
        // The crate strips a `/` at either end. A key that is listed twice means two objects, of
        // which the crate can read only one.
        match objects.windows(2).find(|pair| pair[0].id.key == pair[1].id.key) {
            None => Ok(objects),
            Some(pair) => Err(StoreError::name(pair[0].id.place(), TWICE)),
        }
    }

    /// Fails if a listing of this folder would skip an entry silently.
    fn check_folder(&self, prefix: &str, deep: bool) -> Result<()> {
        let folder = self.folder.as_ref().map(|folder| folder.join(prefix));
        folder.map_or(Ok(()), |folder| folder::check(&folder, deep))
    }

    /// Adds an object to a store in memory.
    #[cfg(feature = "aws")]
    pub(crate) fn put(&self, key: &str, bytes: Vec<u8>) -> Result<ObjectId> {
        let name = self.name(key)?;
        self.block_on(key, self.objects.put(&name, bytes.into()))?;
        let bucket = self.bucket.clone();
        Ok(ObjectId { bucket, key: key.to_owned(), etag: None, version: None })
    }

    fn get(&self, name: &Key, offset: u64, etag: Option<&str>) -> Result<(ObjectMeta, Vec<u8>)> {
        if let Some(spool) = &self.spool {
            let bytes = spool.range(offset);
            let bytes = bytes.map_err(|error| StoreError::other(self.place(name), error))?;
            return Ok((spool.meta.clone(), bytes));
        }
        let options = GetOptions {
            range: Some(GetRange::Bounded(offset..offset + RANGE_BYTES)),
            if_match: etag.map(str::to_owned),
            ..GetOptions::default()
        };
        self.block_on(name.as_ref(), async {
            let answer = self.objects.get_opts(name, options).await?;
            let meta = answer.meta.clone();
            let bytes: Vec<u8> = answer.bytes().await?.into();
            self.fetched.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            Ok((meta, bytes))
        })
    }

    /// Waits for a request, at most until the deadline.
    fn block_on<T>(
        &self,
        key: &str,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T> {
        let place = || self.place(key);
        let answer = match self.deadline {
            None => self.runtime.block_on(request),
            Some(deadline) if deadline <= Instant::now() => {
                return Err(StoreError::Deadline(place()));
            }
            Some(deadline) => self
                .runtime
                .block_on(async { tokio::time::timeout_at(deadline.into(), request).await })
                .map_err(|_| StoreError::Deadline(place()))?,
        };
        answer.map_err(|error| StoreError::new(place(), error))
    }

    /// The object's name in the crate, which would strip a leading or trailing `/` and so name
    /// another object.
    fn name(&self, key: &str) -> Result<Key> {
        let name = self.prefix(key)?;
        if name.as_ref() != key {
            let reason = "a key with a leading or trailing `/` cannot be requested";
            return Err(StoreError::name(self.place(key), reason));
        }
        Ok(name)
    }

    /// A prefix, with or without a trailing `/`.
    fn prefix(&self, prefix: &str) -> Result<Key> {
        Key::parse(prefix).map_err(|error| StoreError::name(self.place(prefix), error.to_string()))
    }

    fn place(&self, key: impl fmt::Display) -> String {
        format!("{}/{key}", self.bucket.trim_end_matches('/'))
    }

    fn filled(&self, metas: Vec<ObjectMeta>) -> Vec<Object> {
        metas.into_iter().filter(|meta| meta.size > 0).map(|meta| self.object(meta)).collect()
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

/// Creates a store's own runtime.
fn runtime(bucket: &str, builder: &mut Builder) -> Result<Arc<Runtime>> {
    builder.build().map(Arc::new).map_err(|error| StoreError::other(bucket, error))
}

/// Reads one object, a range at a time.
#[derive(Debug)]
pub struct ObjectReader {
    store: Store,
    name: Key,
    object: Object,
    /// The entity tag as the store writes it, with its quotes.
    etag: Option<String>,
    chunk: Vec<u8>,
    /// How much of the chunk was returned.
    taken: usize,
    fetched: u64,
}

impl ObjectReader {
    /// The object, and the state of it that is read.
    pub fn object(&self) -> &Object {
        &self.object
    }

    /// Reads the next bytes; 0 at the object's end.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.taken == self.chunk.len() && self.fetched < self.object.size {
            let (_, chunk) = self.store.get(&self.name, self.fetched, self.etag.as_deref())?;
            if chunk.is_empty() {
                return Err(StoreError::Changed(self.object.id.place()));
            }
            self.fetched += chunk.len() as u64;
            (self.chunk, self.taken) = (chunk, 0);
        }
        let rest = &self.chunk[self.taken..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.taken += length;
        Ok(length)
    }
}
