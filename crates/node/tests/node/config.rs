//! Configuration files: what is wrong is named with file, line and column.

use std::path::Path;

use cbdc_node::config::beside;
use cbdc_node::{ConfigError, load_config};
use serde::Deserialize;

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Config {
    #[allow(dead_code)]
    port: u16,
}

#[test]
fn a_wrong_value_and_an_unknown_key_are_shown_in_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    for (text, line, column, part) in [
        ("# a comment\nport = 70000\n", 2, 8, "u16"),
        ("port = 1\nprot = 2\n", 2, 1, "unknown field `prot`"),
        ("port = \n", 1, 8, "port"),
    ] {
        std::fs::write(&file, text).unwrap();
        let error = load_config::<Config>(&file).unwrap_err();
        let message = error.to_string();
        assert!(message.starts_with(&format!("{}:{line}:{column}: ", file.display())), "{message}");
        assert!(message.contains(part), "{message}");
        assert!(message.contains(text.lines().nth(line - 1).unwrap()), "{message}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = load_config::<Config>(Path::new("no/such/file.toml")).unwrap_err();
    assert!(matches!(&error, ConfigError::Read { path, .. } if path == Path::new("no/such/file.toml")), "{error}");
}

#[test]
fn paths_are_relative_to_the_file() {
    assert_eq!(beside(Path::new("net/bank-1/node.toml"), Path::new("data")), Path::new("net/bank-1/data"));
    assert_eq!(beside(Path::new("net/node.toml"), Path::new("/data")), Path::new("/data"));
}
