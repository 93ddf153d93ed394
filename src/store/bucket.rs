//! Buckets of S3, by the `object_store` crate's own client: signed, retried, from the region's own endpoint.

use std::sync::Arc;

use object_store::aws::AmazonS3Builder;

use tokio::runtime::Builder;

use super::{Location, Object, Store, StoreError};

impl Location {
    /// What follows `s3://`.
    pub(super) fn bucket(place: &str) -> Option<Location> {
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let prefix = prefix.trim_end_matches('/').to_owned();
        (!bucket.is_empty()).then(|| Location::Bucket { bucket: bucket.to_owned(), prefix })
    }
}

impl Store {
    /// A bucket of S3, with the region and the credentials that the environment names (`AWS_REGION`,
    /// `AWS_ACCESS_KEY_ID`, …, as Lambda sets them). Nothing is sent before the first request.
    ///
    /// The crate reads these variables itself; those that tests and emulators need are
    /// `AWS_ENDPOINT_URL` and `AWS_ALLOW_HTTP`.
    pub fn bucket_from_env(bucket: &str) -> Result<Store, StoreError> {
        let objects = AmazonS3Builder::from_env().with_bucket_name(bucket).build();
        let objects = objects.map_err(|error| StoreError::new(bucket.to_owned(), error))?;
        Store::new(bucket.to_owned(), Arc::new(objects), Builder::new_current_thread().enable_all())
    }

    /// The objects below a prefix, or else the one object of that key.
    pub(super) fn list_or_look(&self, prefix: &str) -> Result<Vec<Object>, StoreError> {
        let objects = self.list(prefix)?;
        if objects.is_empty() && !prefix.is_empty() {
            return Ok(vec![self.look(prefix)?]);
        }
        Ok(objects)
    }
}
