//! One width for code and comments.

use std::fs;
use std::path::Path;

use crate::given;

const WIDTH: usize = 100;

fn wide(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            wide(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            // A text is in one piece, so that it can be searched for.
            let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.contains('"'));
            let too_wide = lines.filter(|(_, line)| line.chars().count() > WIDTH);
            found.extend(too_wide.map(|(number, _)| format!("{}:{number}", path.display())));
        }
    }
}

#[test]
fn no_line_of_code_or_comment_is_wider_than_100() {
    let mut found = Vec::new();
    for folder in ["src", "tests", "benches", "fuzz/fuzz_targets"] {
        wide(&given::folder().join(folder), &mut found);
    }
    assert!(found.is_empty(), "{found:#?}");
}
