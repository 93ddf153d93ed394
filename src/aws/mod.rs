//! AWS for the command line: buckets, queues, CloudWatch and CloudWatch Logs. It finds credentials,
//! region and endpoint as the AWS CLI does (environment, profiles, SSO, roles). The Lambdas do not
//! use it.
//!
//! The interface is synchronous, like [`Store`]'s: call it from a plain thread, never from inside
//! another runtime.

mod cloudwatch;
mod logs;
mod queue;
mod subscribed;

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use futures_util::future::BoxFuture;
use object_store::CredentialProvider;
use object_store::aws::{AmazonS3Builder, AwsCredential};
use tokio::runtime::{Builder, Runtime};

use crate::clock::{Clock, milliseconds};
use crate::error::{causes, in_words};
use crate::store::{Store, StoreError};

pub use cloudwatch::{ALARMS, Alarms, CloudWatch};
pub(crate) use logs::{LogGroup, Logs};
pub use queue::{BATCH as MESSAGES, Backlog, Queue, SendError};
pub use subscribed::{AccountPolicy, Stream, Subscribed};

/// How long before they expire temporary credentials are renewed.
const EXPIRY: Duration = Duration::from_secs(5 * 60);

/// A failed call to AWS, and what it was about.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {reason}")]
pub struct AwsError {
    /// What it was about, e.g. the queue's URL.
    pub(crate) what: String,
    /// Why it failed.
    pub reason: String,
}

impl AwsError {
    /// From an error and its causes, without repetition.
    fn new(what: &str, error: &dyn Error) -> AwsError {
        AwsError { what: what.to_owned(), reason: in_words(error) }
    }
}

/// A session with AWS. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Aws {
    runtime: Arc<Runtime>,
    config: SdkConfig,
}

impl Aws {
    /// Finds region and credentials. Sends requests only if finding them requires it.
    pub fn connect() -> Result<Aws, AwsError> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| AwsError::new("the network", &error))?;
        let config = runtime.block_on(aws_config::load_defaults(BehaviorVersion::latest()));
        let provider = config.credentials_provider();
        let found = provider.map(|provider| runtime.block_on(provider.provide_credentials()));
        let why = match found {
            Some(Ok(_)) => return Ok(Aws { runtime: Arc::new(runtime), config }),
            None | Some(Err(CredentialsError::CredentialsNotLoaded(_))) => {
                "none were found".to_owned()
            }
            Some(Err(error)) => {
                let cause = causes(&error).last().map(ToString::to_string).unwrap_or_default();
                format!("they could not be loaded ({})", cause.lines().next().unwrap_or_default())
            }
        };
        let reason = format!(
            "{why}: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run this where a role provides them"
        );
        Err(AwsError { what: "AWS credentials".to_owned(), reason })
    }

    /// Opens a bucket.
    pub fn bucket(&self, bucket: &str) -> Result<Store, StoreError> {
        let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
        if let Some(region) = self.config.region() {
            builder = builder.with_region(region.as_ref());
        }
        if let Some(endpoint) = self.config.endpoint_url() {
            builder =
                builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
        }
        if let Some(provider) = self.config.credentials_provider() {
            let held = Mutex::default();
            builder = builder.with_credentials(Arc::new(Credentials { provider, held }));
        }
        Store::of_bucket(bucket, builder, self.runtime.clone())
    }

    /// Opens an SQS queue by its URL. If no region is configured, it uses the one in the URL.
    pub fn queue(&self, url: &str) -> Queue {
        let mut config = aws_sdk_sqs::config::Builder::from(&self.config);
        if let (None, Some(region)) = (self.config.region(), region_of(url)) {
            config = config.region(Region::new(region.to_owned()));
        }
        let client = aws_sdk_sqs::Client::from_conf(config.build());
        Queue { runtime: self.runtime.clone(), client, url: url.to_owned() }
    }

    /// Opens CloudWatch.
    pub fn cloudwatch(&self) -> CloudWatch {
        let client = aws_sdk_cloudwatch::Client::new(&self.config);
        CloudWatch { runtime: self.runtime.clone(), client }
    }

    /// Opens CloudWatch Logs.
    pub fn logs(&self) -> Logs {
        let retry = aws_config::retry::RetryConfig::standard().with_max_attempts(logs::ATTEMPTS);
        let config = aws_sdk_cloudwatchlogs::config::Builder::from(&self.config);
        let config = config.retry_config(retry).build();
        let client = aws_sdk_cloudwatchlogs::Client::from_conf(config);
        Logs { runtime: self.runtime.clone(), client, last: None }
    }
}

/// The region in a URL like `https://sqs.ap-northeast-1.amazonaws.com/123456789012/name`.
fn region_of(url: &str) -> Option<&str> {
    url.split_once("://sqs.")?.1.split_once(".amazonaws.com").map(|(region, _)| region)
}

/// The SDK's credentials for the buckets' client, kept until they expire.
struct Credentials {
    provider: SharedCredentialsProvider,
    /// The credentials, and until when to use them, in milliseconds since the epoch.
    held: Mutex<Option<(Arc<AwsCredential>, i64)>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

impl CredentialProvider for Credentials {
    type Credential = AwsCredential;

    fn get_credential<'s, 'f>(&'s self) -> BoxFuture<'f, object_store::Result<Arc<AwsCredential>>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            let held = || self.held.lock().unwrap_or_else(PoisonError::into_inner);
            let fresh = held().clone().filter(|(_, until)| Clock::System.now() < *until);
            if let Some((credential, _)) = fresh {
                return Ok(credential);
            }
            let found = self.provider.provide_credentials().await.map_err(|error| {
                let reason = AwsError::new("credentials", &error).to_string();
                object_store::Error::Unauthenticated { path: String::new(), source: reason.into() }
            })?;
            let credential = Arc::new(AwsCredential {
                key_id: found.access_key_id().to_owned(),
                secret_key: found.secret_access_key().to_owned(),
                token: found.session_token().map(str::to_owned),
            });
            let until = found.expiry().map_or(i64::MAX, |expiry| milliseconds(expiry - EXPIRY));
            *held() = Some((credential.clone(), until));
            Ok(credential)
        })
    }
}
