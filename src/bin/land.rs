//! The land function and, with a longer timeout, the seal function: they turn notices into day
//! files. The library does the work; this only wires.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, anyhow};
use hiwake::clock::Clock;
use hiwake::config::{Config, PIPELINE, root_from_env};
use hiwake::disk::RealDisk;
use hiwake::lambda::land::{Invocation, invoke};
use hiwake::lambda::{Failure, Remark, runtime};
use hiwake::land::journal::cache::Journals;
use hiwake::land::{ChunkPool, Lander, Root};
use hiwake::store::{Store, StoreError};

fn main() -> ExitCode {
    runtime::run(|| {
        let site = Arc::new(site()?);
        runtime::serve(|event, context| {
            let site = site.clone();
            let deadline = runtime::deadline(&context);
            async move {
                // A store has a runtime of its own, and waiting for locks blocks: use a plain
                // thread.
                let work = move || site.invoke(&event, deadline);
                let done = tokio::task::spawn_blocking(work).await;
                done.map_err(|error| failure(&anyhow!(error)))?
            }
        })
    })
}

/// Where this process lands. A bucket is opened when a notice first names it.
struct Site {
    config: &'static Config,
    root: PathBuf,
    pipeline: String,
    stores: Mutex<HashMap<String, Store>>,
    journals: Arc<Journals>,
    pool: ChunkPool,
}

fn site() -> Result<Site, Vec<anyhow::Error>> {
    let root = root_from_env().map_err(anyhow::Error::from);
    match (runtime::config(), root) {
        (Ok(config), Ok(root)) => {
            let (pipeline, stores) = (PIPELINE.text(), Mutex::default());
            Ok(Site {
                config,
                root,
                pipeline,
                stores,
                journals: Arc::default(),
                pool: ChunkPool::default(),
            })
        }
        (config, root) => Err([config.err(), root.err()].into_iter().flatten().collect()),
    }
}

impl Site {
    fn invoke(&self, event: &[u8], deadline: Instant) -> Result<String, Failure> {
        let disk = RealDisk::create(&self.root)
            .with_context(|| format!("cannot open the root {}", self.root.display()))
            .map_err(|error| failure(&error))?;
        let lander = Lander {
            root: Root {
                disk: &disk,
                config: self.config,
                clock: Clock::System,
                deadline,
                synced: Default::default(),
            },
            journals: self.journals.clone(),
            pool: self.pool.clone(),
        };
        let Invocation { answer, metrics, remarks } =
            invoke(&lander, &|bucket| self.store(bucket), event);
        for remark in remarks {
            match remark {
                Remark::Retried(text) => tracing::warn!("will be retried: {text}"),
                Remark::GivenUp(text) => tracing::error!("{text}"),
            }
        }
        runtime::send(&metrics, &self.pipeline);
        answer.map(|answer| answer.to_string())
    }

    fn store(&self, bucket: &str) -> Result<Store, StoreError> {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = stores.get(bucket) {
            return Ok(store.clone());
        }
        let store = Store::bucket_from_env(bucket)?;
        Ok(stores.entry(bucket.to_owned()).or_insert(store).clone())
    }
}

fn failure(error: &anyhow::Error) -> Failure {
    Failure { kind: "hiwake.Root", message: format!("{error:#}") }
}
