//! Objects: streamed, listed, told apart; behind the `object_store` crate. Folders and buckets
//! alike.
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

/// Bytes of one ranged read: a request to S3 costs the same whatever it asks for, memory does not.
const RANGE_BYTES: u64 = 4 << 20;

/// Why an object is not read whose key is listed twice.
const TWICE: &str = "another key differs from it by a `/` at an end only, and cannot be asked for: copy it to another key";

/// Which object, and which state of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    /// The bucket, or the folder as the user named it.
    pub bucket: String,
    /// The key, decoded; never begins with `/`.
    pub key: String,
    /// The entity tag, without its quotes, if it is known.
    pub etag: Option<String>,
    /// The version of a versioned bucket, if a notice named it. It identifies; [`Store::open`] does
    /// not ask for it.
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

/// Opens a bucket by its name.
pub(crate) type Buckets<'b> = dyn Fn(&str) -> Result<Store> + 'b;

/// Where objects are, as a command's argument names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A folder: every file in it.
    Folder(PathBuf),
    /// One file.
    File(PathBuf),
    /// What can be read only once: standard input (`-`), a pipe, a file of `/proc`.
    Pipe(PathBuf),
    /// `s3://bucket/prefix`: every object whose key is the prefix, or the prefix, `/` and more.
    #[cfg(feature = "s3")]
    Bucket {
        /// The bucket's name.
        bucket: String,
        /// Without a `/` at its end; empty: the whole bucket.
        prefix: String,
    },
}

impl Location {
    /// What an argument names. Looks at the disk to tell a file from a folder.
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
            // Those of /proc have bytes, and say that they have none.
            Ok(found) if found.is_file() && found.len() > 0 => Ok(Location::File(path)),
            Ok(_) => Ok(Location::Pipe(path)),
            Err(error) if is_absent(&error) => Err(StoreError::NotFound(argument.to_owned())),
            Err(error) => Err(StoreError::other(argument, error)),
        }
    }

    /// Opens the store, and names the objects in key order; `buckets` opens a bucket by its name.
    /// With a time, those that were delivered in it: [`Object::modified`] decides, but keys that
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

/// What is said of a location that this build cannot open.
fn unsupported(scheme: &str) -> String {
    match (scheme, cfg!(feature = "s3")) {
        ("s3", true) => "write s3://bucket or s3://bucket/prefix".to_owned(),
        (_, true) => format!("unsupported scheme `{scheme}`: files, folders and s3:// are read"),
        _ => format!("unsupported scheme `{scheme}`: this build reads files and folders only"),
    }
}

/// A bucket, or a folder that stands in for one. Cheap to clone; clones share the connection.
#[derive(Debug, Clone)]
pub struct Store {
    bucket: String,
    objects: Arc<dyn ObjectStore>,
    /// Where the objects are, if that is a folder.
    folder: Option<PathBuf>,
    /// The one object, if it came by a pipe.
    spool: Option<Arc<Spool>>,
    runtime: Arc<Runtime>,
    deadline: Option<Instant>,
    /// Counts the bytes that readers fetch.
    fetched: Arc<AtomicU64>,
}

impl Store {
    /// A folder as a bucket: its path is the bucket's name, keys are relative to it.
    ///
    /// Not read: names that end in `#` and digits, which the crate keeps for its own uploads, links
    /// to nothing, and what is neither file nor folder. A listing that meets one is an error.
    pub fn folder(folder: &Path) -> Result<Store> {
        let bucket = folder.display().to_string();
        if !folder.is_dir() {
            return Err(StoreError::NotFound(bucket));
        }
        let objects = LocalFileSystem::new_with_prefix(folder)
            .map_err(|error| StoreError::new(bucket.clone(), error))?;
        // A folder needs no sockets: nothing of them is opened that could fail.
        let runtime = runtime(&bucket, Builder::new_current_thread().enable_time())?;
        let store = Store::new(bucket, Arc::new(objects), runtime);
        Ok(Store { folder: Some(folder.to_owned()), ..store })
    }

    /// What a pipe holds, read to its end: a bucket of one object, called like the pipe.
    fn pipe(path: &Path) -> Result<Store> {
        let bucket = path.display().to_string();
        let spool = Spool::new(path).map_err(|error| StoreError::other(&bucket, error))?;
        let spool = Some(Arc::new(spool));
        Ok(Store { spool, ..Store::memory(&bucket)? })
    }

    /// Objects in memory, under a bucket's name: for rows that are made on this machine.
    pub(crate) fn memory(bucket: &str) -> Result<Store> {
        let runtime = runtime(bucket, Builder::new_current_thread().enable_time())?;
        Ok(Store::new(bucket.to_owned(), Arc::new(InMemory::new()), runtime))
    }

    /// Any store of the crate, under a bucket's name.
    fn new(bucket: String, objects: Arc<dyn ObjectStore>, runtime: Arc<Runtime>) -> Store {
        let fetched = Arc::default();
        Store { bucket, objects, folder: None, spool: None, runtime, deadline: None, fetched }
    }

    /// The same store, whose requests, and what waits between their retries, end at a moment with
    /// [`StoreError::Deadline`].
    #[must_use]
    pub(crate) fn until(&self, deadline: Instant) -> Store {
        Store { deadline: Some(deadline), ..self.clone() }
    }

    /// The same store, whose readers add the bytes that they fetch, to show progress.
    #[must_use]
    pub fn counted(&self, fetched: Arc<AtomicU64>) -> Store {
        Store { fetched, ..self.clone() }
    }

    /// Opens an object as it is now, whatever state of it a notice named: landing is idempotent,
    /// and an object that Firehose rewrote holds all of its earlier content.
    ///
    /// All reads are of the state that [`ObjectReader::object`] then names, or end in
    /// [`StoreError::Changed`].
    pub fn open(&self, key: &str) -> Result<ObjectReader> {
        let name = self.name(key)?;
        let (meta, chunk) = match self.get(&name, 0, None) {
            // A range of an empty object cannot be satisfied.
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

    /// What an object is now, without its bytes.
    pub fn look(&self, key: &str) -> Result<Object> {
        Ok(self.object(self.head(&self.name(key)?)?))
    }

    fn head(&self, name: &Key) -> Result<ObjectMeta> {
        match &self.spool {
            Some(spool) => Ok(spool.meta.clone()),
            None => self.block_on(name.as_ref(), self.objects.head(name)),
        }
    }

    /// The objects below a prefix that ends at a `/` (or is empty), in the order of their keys'
    /// bytes. Empty ones are left out: they hold nothing, and the S3 console's folders are such.
    pub fn list(&self, prefix: &str) -> Result<Vec<Object>> {
        let name = self.prefix(prefix)?;
        let listing = self.objects.list(Some(&name)).try_collect::<Vec<_>>();
        let metas = self.block_on(prefix, listing)?;
        self.check_folder(prefix, true)?;
        let mut objects = self.filled(metas);
        objects.sort_unstable_by(|a, b| a.id.key.cmp(&b.id.key));
        // The crate strips a `/` at an end: what is listed twice are two objects, of which it can
        // read one.
        match objects.windows(2).find(|pair| pair[0].id.key == pair[1].id.key) {
            None => Ok(objects),
            Some(pair) => Err(StoreError::name(pair[0].id.place(), TWICE)),
        }
    }

    /// Nothing in a folder may be left out in silence.
    fn check_folder(&self, prefix: &str, deep: bool) -> Result<()> {
        let folder = self.folder.as_ref().map(|folder| folder.join(prefix));
        folder.map_or(Ok(()), |folder| folder::check(&folder, deep))
    }

    /// Makes an object of a store in memory.
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

    /// Waits for a request, until the deadline if there is one.
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

    /// The object's name in the crate, which would strip a `/` from either end and mean another
    /// object.
    fn name(&self, key: &str) -> Result<Key> {
        let name = self.prefix(key)?;
        if name.as_ref() != key {
            let reason = "a key with a `/` at either end cannot be asked for";
            return Err(StoreError::name(self.place(key), reason));
        }
        Ok(name)
    }

    /// A prefix, with or without a `/` at its end.
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

/// A runtime of a store's own.
fn runtime(bucket: &str, builder: &mut Builder) -> Result<Arc<Runtime>> {
    builder.build().map(Arc::new).map_err(|error| StoreError::other(bucket, error))
}

/// The bytes of one object, a range at a time.
#[derive(Debug)]
pub struct ObjectReader {
    store: Store,
    name: Key,
    object: Object,
    /// As the store writes it, with its quotes.
    etag: Option<String>,
    chunk: Vec<u8>,
    /// How much of it was handed out.
    taken: usize,
    fetched: u64,
}

impl ObjectReader {
    /// Which state of which object is read.
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
