//! Text → [`Config`]: syntax, then keys and values, each problem with its line.

use std::io::Read as _;
use std::path::Path;

use crate::config::place::line_of_offset;
use crate::config::reader::Reader;
use crate::config::{Config, ConfigErrors, Problem, check};

/// Bytes of the largest configuration that is read: some thousand sources.
const CONFIG_BYTES_MAX: u64 = 1 << 20;

impl Config {
    /// Reads and checks a file. The error holds everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
        let name = path.display().to_string();
        let refuse = |line, message| {
            let problem = Problem { file: name.clone(), line, key: String::new(), message };
            Err(ConfigErrors { problems: vec![problem] })
        };
        let bytes = match bytes(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let message = format!(
                    "cannot be read: {error}; name another with --config FILE (a Lambda: HIWAKE_CONFIG)"
                );
                return refuse(None, message);
            }
        };
        if bytes.len() as u64 > CONFIG_BYTES_MAX {
            return refuse(None, format!("is larger than {CONFIG_BYTES_MAX} bytes"));
        }
        match std::str::from_utf8(&bytes) {
            Ok(text) => Config::parse(&name, text),
            Err(error) => {
                let line = line_of_offset(&bytes, error.valid_up_to());
                refuse(Some(line), "is not UTF-8 here; save the file as UTF-8".to_owned())
            }
        }
    }

    /// Reads and checks a text; `name` stands in front of every problem.
    pub fn parse(name: &str, text: &str) -> Result<Config, ConfigErrors> {
        let mut reader = Reader::new(name, text);
        let config = reader.values();
        config.iter().for_each(|config| check::check(config, &mut reader));
        reader.finish(config)
    }
}

fn bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
