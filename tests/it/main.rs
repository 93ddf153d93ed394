//! One integration binary.

mod land;

fn config_of(toml: &str) -> hiwake::config::Config {
    hiwake::config::Config::parse("test.toml", toml).unwrap()
}
