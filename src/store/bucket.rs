//! S3 buckets through the `object_store` crate's own client, which signs and retries requests and
//! uses the region's own endpoint.

use std::ops::Range;
use std::sync::Arc;

use object_store::aws::AmazonS3Builder;

use tokio::runtime::{Builder, Runtime};

use crate::store::{Location, Object, Result, Store, StoreError};

impl Location {
    /// Parses the part after `s3://`.
    pub(super) fn bucket(place: &str) -> Option<Location> {
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let prefix = prefix.trim_end_matches('/').to_owned();
        (!bucket.is_empty() && !prefix.starts_with('/'))
            .then(|| Location::Bucket { bucket: bucket.to_owned(), prefix })
    }
}

impl Store {
    /// An S3 bucket, with the region and credentials from the environment (`AWS_REGION`,
    /// `AWS_ACCESS_KEY_ID`, …, as Lambda sets them). Nothing is sent before the first request.
    ///
    /// The crate reads these variables itself. Tests and emulators also need `AWS_ENDPOINT_URL` and
    /// `AWS_ALLOW_HTTP`.
    pub fn bucket_from_env(bucket: &str) -> Result<Store> {
        let runtime = super::runtime(bucket, Builder::new_current_thread().enable_all())?;
        Store::of_bucket(bucket, AmazonS3Builder::from_env().with_bucket_name(bucket), runtime)
    }

    /// A bucket from a builder that names it, on a runtime with time and network.
    pub(crate) fn of_bucket(
        bucket: &str,
        builder: AmazonS3Builder,
        runtime: Arc<Runtime>,
    ) -> Result<Store> {
        // The crate puts the name into a URL, and panics if that is not valid.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if bucket.is_empty() || !bucket.bytes().all(plain) {
            let reason = "not a valid bucket name: expected letters, digits, `-`, `.`, `_`";
            return Err(StoreError::name(bucket, reason));
        }
        let objects = builder.build().map_err(|error| StoreError::new(bucket.to_owned(), error))?;
        Ok(Store::new(bucket.to_owned(), Arc::new(objects), runtime))
    }

    /// The objects below a prefix, or else the one object with that key.
    pub(super) fn list_or_look(
        &self,
        prefix: &str,
        time: Option<&Range<i64>>,
    ) -> Result<Vec<Object>> {
        let objects = self.list_delivered(prefix, time)?;
        // Objects of another time may exist below it.
        let is_folder = || Ok(time.is_some() && self.list_folder(prefix)? != Default::default());
        if !objects.is_empty() || prefix.is_empty() || is_folder()? {
            return Ok(objects);
        }
        Ok(vec![self.look(prefix)?])
    }
}
