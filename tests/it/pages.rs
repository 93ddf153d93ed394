//! A page shows what happens: its commands are run, and each prints what the page says.
//!
//! What a page may rely on:
//!
//! * A `console` block holds commands behind `$ `, each followed by its output, stderr too. A
//!   command continues on the next line after a backslash, and up to the end of its here-document.
//! * All commands of a page run in order, in one shell, in a copy of the tracked files. The shell
//!   has no variables of the machine. `cargo install` puts `hiwake` where rustup's PATH finds it;
//!   or the page puts it on the PATH.
//! * `…` at a line's end stands for the rest of the line. A line that is only `…` stands for any
//!   lines.
//! * Cargo is a stand-in, because everything is built: `build` does nothing, `install` links the
//!   binary, `run` runs it, and none of them prints. `make run` is the real one.
//! * A block of another language, `sh` for example, is not run.
//! * Each root that the page leaves behind is verified.
//!
//! With `HIWAKE_BLESS=1` a page gets the output that its commands had: read the difference.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::given;

/// Ends the output of a command: nothing that is run here prints it.
const END: char = '\u{1e}';
const REST: char = '…';
/// What a page must not start: it needs another machine, an account or the network.
const REFUSED: &[&str] =
    &["aws", "crontab", "curl", "docker", "git", "mount", "node", "npm", "npx", "pip", "sudo"];
const REFUSE: &str =
    "echo \"${0##*/} $*: not run by the test of the pages: mark the block as sh\" >&2; exit 127";
const MAKE: &str = r#"[ "$*" = run ] && exec /usr/bin/make run"#;
const CARGO: &str = r#"
case $1 in
    build) exit 0 ;;
    install)
        root=$HOME/.cargo
        while [ $# -gt 0 ]; do
            if [ "$1" = --root ]; then root=$2; fi
            shift
        done
        mkdir -p "$root/bin" && ln -sf "$HIWAKE_BUILT" "$root/bin/hiwake"
        exit ;;
    run)
        while [ $# -gt 0 ] && [ "$1" != -- ]; do shift; done
        shift
        exec "$HIWAKE_BUILT" "$@" ;;
esac"#;

/// A command, and what the page says that it prints.
#[derive(Debug)]
struct Step {
    /// The line after the command, counted from 0.
    line: usize,
    command: String,
    shown: Vec<String>,
}

/// The commands of a page's console blocks.
fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut lines = page.lines().enumerate();
    let mut fence: Option<bool> = None;
    let mut first = true;
    while let Some((number, line)) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            fence = if fence.is_some() { None } else { Some(language == "console") };
            first = true;
        } else if fence != Some(true) {
            continue;
        } else if let Some(command) = line.strip_prefix("$ ") {
            let mut command = command.to_owned();
            let mut end = number;
            let here = command.split_once("<<").map(|(_, word)| word.trim_start_matches('-'));
            let here = here.and_then(|word| word.split_whitespace().next());
            let here = here.map(|word| word.trim_matches(['\'', '"']).to_owned());
            let mut last = line;
            while last.ends_with('\\') || here.as_deref().is_some_and(|word| last != word) {
                let Some(next) = lines.next() else { panic!("line {}: no end", number + 1) };
                (end, last) = next;
                command.push('\n');
                command.push_str(last);
            }
            steps.push(Step { line: end + 1, command, shown: Vec::new() });
            first = false;
        } else {
            assert!(!first, "line {}: a console block begins with a command", number + 1);
            steps.last_mut().unwrap().shown.push(line.to_owned());
        }
    }
    steps
}

/// A copy of the tracked files, as a clone has them, with the binary where cargo puts it.
struct Copy {
    folder: tempfile::TempDir,
}

impl Copy {
    fn new() -> Copy {
        let copy = Copy { folder: tempfile::tempdir().unwrap() };
        let list =
            Command::new("git").args(["ls-files", "-z"]).current_dir(given::folder()).output();
        let list = String::from_utf8(list.unwrap().stdout).unwrap();
        assert!(list.contains("hiwake.toml\0"), "not a git repository: {list}");
        for name in list.split_terminator('\0') {
            let (from, to) = (given::folder().join(name), copy.project().join(name));
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            // What is tracked and gone will not be in the next commit.
            if from.is_file() {
                fs::copy(from, to).unwrap();
            }
        }
        copy.tool("cargo", CARGO);
        copy.tool("make", MAKE);
        REFUSED.iter().for_each(|name| copy.tool(name, ""));
        let built = copy.project().join("target/debug");
        fs::create_dir_all(&built).unwrap();
        symlink(env!("CARGO_BIN_EXE_hiwake"), built.join("hiwake")).unwrap();
        copy
    }

    fn project(&self) -> PathBuf {
        self.folder.path().join("hiwake")
    }

    /// A program of this name that does what the script says, and refuses all else.
    fn tool(&self, name: &str, script: &str) {
        let script = format!("#!/bin/sh\n{script}\n{REFUSE}\n");
        let path = given::put(self.folder.path(), &format!("tools/{name}"), script.as_bytes());
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }

    fn bash(&self, folder: &Path, script: &str) -> String {
        let script =
            given::put(self.folder.path(), "script", format!("exec 2>&1\n{script}").as_bytes());
        let home = self.folder.path().join("home");
        fs::create_dir_all(&home).unwrap();
        let tools = self.folder.path().join("tools");
        let mut command = Command::new("timeout");
        command.args(["60", "bash"]).arg(script).current_dir(folder).env_clear();
        let (tools, bin) = (tools.display(), home.join(".cargo/bin"));
        command.env("PATH", format!("{tools}:{}:/usr/local/bin:/usr/bin:/bin", bin.display()));
        command.env("HOME", home).env("LC_ALL", "C.UTF-8").env("TZ", "America/New_York");
        command.env("HIWAKE_BUILT", env!("CARGO_BIN_EXE_hiwake"));
        let output = command.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs the steps in one shell: what each of them printed.
    fn run(&self, folder: &Path, steps: &[Step]) -> Vec<Vec<String>> {
        let mut script = String::new();
        for step in steps {
            writeln!(script, "{}\nprintf '{END}'", step.command).unwrap();
        }
        let said = self.bash(folder, &script);
        let (said, rest) = said.rsplit_once(END).unwrap_or(("", &said));
        let printed: Vec<Vec<String>> = said.split(END).map(printed).collect();
        let next = steps.get(printed.len()).map(|step| &step.command);
        assert_eq!(printed.len(), steps.len(), "the shell ended in {next:?}: {rest}");
        printed
    }

    /// Every root of daily files below a folder holds what it acknowledged.
    fn verify(&self, folder: &Path) {
        let mut roots = 0;
        let mut folders = vec![folder.to_owned()];
        while let Some(inner) = folders.pop() {
            if inner.join(".hiwake").is_dir() {
                let mut verify = Command::new(env!("CARGO_BIN_EXE_hiwake"));
                verify.current_dir(self.project()).args(["verify", "--root"]).arg(&inner);
                let output = verify.output().unwrap();
                let said = String::from_utf8(output.stdout).unwrap();
                assert!(said.ends_with(": 0 wrong\n"), "{}: {said}", inner.display());
                roots += 1;
            }
            let entries = fs::read_dir(inner).unwrap().map(Result::unwrap);
            let inner = entries.filter(|entry| entry.file_type().unwrap().is_dir());
            folders.extend(inner.map(|entry| entry.path()));
        }
        assert!(roots > 0, "no root was left behind");
    }
}

/// The lines of an output, without its colours and the blanks at the ends of lines.
fn printed(output: &str) -> Vec<String> {
    let mut parts = output.split("\u{1b}[");
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        text.push_str(part.split_once('m').map_or(part, |(_, text)| text));
    }
    lines(&text)
}

fn lines(text: &str) -> Vec<String> {
    text.trim_end().lines().map(|line| line.trim_end().to_owned()).collect()
}

/// Whether this is what the page shows.
fn same(shown: &[String], printed: &[String]) -> bool {
    let Some((first, shown)) = shown.split_first() else { return printed.is_empty() };
    if first.chars().eq([REST]) {
        return (0..=printed.len()).any(|skipped| same(shown, &printed[skipped..]));
    }
    let Some((line, printed)) = printed.split_first() else { return false };
    let fits = match first.strip_suffix(REST) {
        Some(begin) => line.starts_with(begin),
        None => line == first,
    };
    fits && same(shown, printed)
}

fn shown(step: &Step) -> Vec<String> {
    lines(&step.shown.join("\n"))
}

/// Where a page and what happened differ, as somebody wants to read it.
fn differences(steps: &[Step], outputs: &[Vec<String>]) -> String {
    let mut text = String::new();
    for (step, output) in steps.iter().zip(outputs) {
        if !same(&shown(step), output) {
            let (shown, output) = (step.shown.join("\n"), output.join("\n"));
            let (line, command) = (step.line, &step.command);
            write!(
                text,
                "\nline {line}: $ {command}\nthe page shows:\n{shown}\nit prints:\n{output}\n"
            )
            .unwrap();
        }
    }
    text
}

/// The page with what its commands printed, where that differs.
fn blessed(page: &str, steps: &[Step], outputs: &[Vec<String>]) -> String {
    let mut lines: Vec<&str> = page.lines().collect();
    for (step, output) in steps.iter().zip(outputs).rev() {
        if !same(&shown(step), output) {
            let output = output.iter().map(String::as_str);
            lines.splice(step.line..step.line + step.shown.len(), output);
        }
    }
    lines.join("\n") + "\n"
}

/// What a page says and what came of it are compared.
#[allow(clippy::disallowed_methods, reason = "a test's own switch, and it may write pages")]
fn compare(name: &str, page: &str, steps: &[Step], outputs: &[Vec<String>]) {
    let differences = differences(steps, outputs);
    if !differences.is_empty() && std::env::var("HIWAKE_BLESS").is_ok() {
        fs::write(given::folder().join(name), blessed(page, steps, outputs)).unwrap();
    } else {
        assert!(differences.is_empty(), "{name}: {differences}");
    }
}

fn read(name: &str) -> String {
    fs::read_to_string(given::folder().join(name)).unwrap()
}

/// A page whose commands begin at the top of a clone.
fn page(name: &str) -> (Vec<Step>, Vec<Vec<String>>) {
    let text = read(name);
    let steps = steps(&text);
    assert!(!steps.is_empty(), "{name} has no command");
    let copy = Copy::new();
    let outputs = copy.run(&copy.project(), &steps);
    compare(name, &text, &steps, &outputs);
    copy.verify(&copy.project());
    (steps, outputs)
}

#[test]
fn readme() {
    page("README.md");
}

#[test]
fn readme_ja() {
    page("README.ja.md");
}

#[test]
fn tour_ja_has_the_commands_of_the_tour() {
    let (steps, _) = page("docs/tour.ja.md");
    let commands = |steps: &[Step]| steps.iter().map(|one| one.command.clone()).collect::<Vec<_>>();
    assert_eq!(commands(&steps), commands(&self::steps(&read("docs/tour.md"))));
}

#[test]
fn deploy() {
    page("docs/deploy.md");
}

#[test]
fn format() {
    page("docs/format.md");
}

#[test]
fn tour_and_an_edited_tour_is_found() {
    let (steps, outputs) = page("docs/tour.md");
    let mut edits = 0;
    for (step, output) in steps.iter().zip(&outputs) {
        let shown = shown(step);
        for (number, line) in shown.iter().enumerate().filter(|(_, line)| !line.chars().eq([REST]))
        {
            let mut edited = shown.clone();
            edited[number] = format!("x{line}");
            assert!(!same(&edited, output), "{}: {line}", step.command);
            edited.remove(number);
            let rest_begins =
                |at: usize| edited.get(at).is_some_and(|line| line.chars().eq([REST]));
            if !rest_begins(number) && (number == 0 || !rest_begins(number - 1)) {
                assert!(!same(&edited, output), "{}: without {line}", step.command);
            }
            edits += 1;
        }
        let mut longer = shown.clone();
        longer.push("one more".to_owned());
        assert!(!same(&longer, output), "{}", step.command);
    }
    assert!(edits > 25, "{edits}");
}

/// Each recipe begins in its own copy, in the folder that `tests/runbook.sh` makes for it.
#[test]
fn runbook_each_recipe_from_its_starting_state() {
    let name = "docs/runbook.md";
    let text = read(name);
    let (_, recipes) = text.split_once("\n## Recipes\n").unwrap();
    let titles = recipes.lines().take_while(|line| !line.starts_with("## "));
    let titles = titles.filter_map(|line| line.strip_prefix("### "));
    let (mut all, mut outputs) = (Vec::new(), Vec::new());
    for title in titles {
        let begin = text.lines().position(|line| line.strip_prefix("### ") == Some(title)).unwrap();
        let end = text.lines().skip(begin + 1).position(|line| line.starts_with('#'));
        let end = end.map_or(usize::MAX, |lines| begin + 1 + lines);
        let own: Vec<Step> =
            steps(&text).into_iter().filter(|step| (begin..end).contains(&step.line)).collect();
        if own.is_empty() {
            continue;
        }
        let copy = Copy::new();
        let anchor = title.to_lowercase().replace(' ', "-").replace([':', ','], "");
        let said = copy.bash(
            &copy.project(),
            &format!("export PATH=$PWD/target/debug:$PATH; tests/runbook.sh recipe {anchor}"),
        );
        let folder = copy.project().join("recipe");
        assert!(folder.is_dir() && !said.contains("rror"), "{title}: {said}");
        let path = Step {
            line: 0,
            command: "export PATH=$PWD/../target/debug:$PATH".into(),
            shown: vec![],
        };
        let steps: Vec<Step> = [path].into_iter().chain(own).collect();
        outputs.extend(copy.run(&folder, &steps));
        all.extend(steps);
    }
    assert!(all.len() > 10);
    compare(name, &text, &all, &outputs);
}

#[test]
fn cargo_is_a_stand_in_and_what_needs_more_than_the_clone_is_refused() {
    let copy = Copy::new();
    let page = "```console\n$ npx cdk deploy\n$ cargo test\n$ make check\n$ cargo build\n```\n\
        ```sh\n$ echo not run\n```\n\
        ```console\n$ cargo install --path . --root tools\n$ tools/bin/hiwake --version\n\
        $ cargo run --quiet -- \\\n    --version\n$ cat <<'END'\n$ text\nEND\n```\n";
    let outputs = copy.run(&copy.project(), &steps(page));
    let refused = |command: &str| {
        vec![format!("{command}: not run by the test of the pages: mark the block as sh")]
    };
    let version = vec![format!("hiwake {}", env!("CARGO_PKG_VERSION"))];
    let wanted = [
        refused("npx cdk deploy"),
        refused("cargo test"),
        refused("make check"),
        vec![],
        vec![],
        version.clone(),
        version,
        vec!["$ text".to_owned()],
    ];
    assert_eq!(outputs, wanted);
}

#[test]
fn a_rest_stands_for_no_more_than_a_rest() {
    let lines = |text: &str| text.split_terminator('|').map(str::to_owned).collect::<Vec<_>>();
    let same = |shown: &str, printed: &str| same(&lines(shown), &lines(printed));
    assert!(same("a…|b", "abc|b") && same("…|b", "b") && same("a|…|b", "a|x|y|b") && same("…", ""));
    assert!(
        !same("a…|b", "ab|c|b") && !same("b…", "ab") && !same("a|…|b", "a|x") && !same("", "a")
    );
}
