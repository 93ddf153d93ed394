//! Text → [`Config`]: first the syntax, then keys and values; each problem with its line.

use std::io::Read as _;
use std::path::Path;

use crate::config::env::region_from_env;
use crate::config::place::line_of_offset;
use crate::config::reader::Reader;
use crate::config::{Config, ConfigErrors, Problem, check};

/// Bytes of the largest configuration: several thousand sources.
const CONFIG_BYTES_MAX: u64 = 1 << 20;

impl Config {
    /// Reads and checks a file. The error contains all problems.
    pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
        let name = path.display().to_string();
        let text = text(path).map_err(|(line, message)| {
            let problem = Problem { file: name.clone(), line, key: String::new(), message };
            ConfigErrors { problems: vec![problem] }
        })?;
        Ok(Config { region: region_from_env(), ..Config::parse(&name, &text)? })
    }

    /// Reads and checks a text; every problem begins with `name`.
    pub fn parse(name: &str, text: &str) -> Result<Config, ConfigErrors> {
        let mut reader = Reader::new(name, text);
        let config = reader.values();
        config.iter().for_each(|config| check::check(config, &mut reader));
        reader.finish(config)
    }
}

/// The text of a file, or a message and its line.
fn text(path: &Path) -> Result<String, (Option<usize>, String)> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path);
    let read = file.and_then(|file| file.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        let message = format!(
            "cannot be read: {error}; name another with --config FILE (a Lambda: HIWAKE_CONFIG)"
        );
        return Err((None, message));
    }
    if bytes.len() as u64 > CONFIG_BYTES_MAX {
        return Err((None, format!("is larger than {CONFIG_BYTES_MAX} bytes; shorten it")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = line_of_offset(error.as_bytes(), error.utf8_error().valid_up_to());
        (Some(line), "is not UTF-8 here; save the file as UTF-8".to_owned())
    })
}
