//! `hiwake init`: writes a commented hiwake.toml from flags, a few questions, or the account's log
//! groups.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use chrono_tz::Tz;
use hiwake::config::{Config, Glob};

use crate::Usage;
use crate::output::{count, out};

/// The sample, from which the new file gets everything except its sources.
const SAMPLE: &str = include_str!("../../../hiwake.toml");
/// A source with the keys that the sources of a new file do not have.
const EXAMPLE: &str = r#"# An example, not a default:
# [[source]]
# log_groups = ["/ecs/{team}-*"]      # {team} is a capture: any text without /
# exclude    = ["/ecs/test-*"]        # left to other sources
# file       = "{team}"
# columns    = ["{time}", "{json.level}", "{message}"]   # level of a JSON message
# drop       = ['^DEBUG']             # messages that are left out
# keep       = ['ERROR', 'WARN']      # only these are kept
# mask       = [{ pattern = '\d{16}', with = "****" }]   # hides card numbers
"#;
/// The prefixes of hiwake's own log groups, whose logs must not land again.
#[cfg(feature = "aws")]
const OWN: [&str; 2] = ["/aws/lambda/hiwake", "/aws/kinesisfirehose/hiwake"];

/// Write a commented hiwake.toml
///
/// Without flags, it asks questions if it runs on a terminal. It writes the file that `--config`
/// names, and never overwrites another. Each log group becomes a source with its own file. Correct
/// what does not fit, then run `hiwake config check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hiwake init
  hiwake init --log-group /var/log/messages --label HOGE,web --timezone Asia/Tokyo
  hiwake init --from-account --prefix /ecs/ --config ecs.toml
  hiwake init --log-group '/aws/lambda/*' --print")]
pub struct Args {
    /// A log group, or a glob of log groups; can be repeated
    #[arg(long = "log-group", value_name = "G")]
    log_groups: Vec<String>,
    /// Labels in front of each line, separated by commas
    #[arg(long = "label", value_name = "L", value_delimiter = ',')]
    labels: Vec<String>,
    /// The daily file's name without its day, for a single log group [default: the end of its name]
    #[arg(long, value_name = "NAME")]
    file: Option<String>,
    /// Where a day begins and ends: an IANA name [default: the configuration's, Asia/Tokyo]
    #[arg(long, value_name = "ZONE")]
    timezone: Option<Tz>,
    /// All log groups of the account and region except hiwake's own; needs AWS credentials
    #[cfg(feature = "aws")]
    #[arg(long, conflicts_with = "log_groups")]
    from_account: bool,
    /// Only log groups whose names begin with this
    #[cfg(feature = "aws")]
    #[arg(long, value_name = "PREFIX", requires = "from_account", conflicts_with = "log_groups")]
    prefix: Option<String>,
    /// Print the configuration and write no file
    #[arg(long)]
    print: bool,
}

pub fn run(path: &Path, args: &Args) -> anyhow::Result<ExitCode> {
    let mut answers = Answers {
        log_groups: args.log_groups.clone(),
        labels: args.labels.clone(),
        file: args.file.clone(),
        timezone: args.timezone,
    };
    #[cfg(feature = "aws")]
    if args.from_account {
        answers.log_groups = from_account(args.prefix.as_deref())?;
    }
    if answers.log_groups.is_empty() {
        answers.ask()?;
    }
    answers.check()?;
    let text = answers.text()?;
    // The result must be a valid configuration.
    let config = Config::parse(&path.display().to_string(), &text)?;
    if args.print {
        out!("{}", text.trim_end_matches('\n'));
        return Ok(ExitCode::SUCCESS);
    }
    let shown = path.display();
    let mut file = match OpenOptions::new().write(true).create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let what = format!("{shown} exists: remove it, or name another with --config FILE");
            return Err(Usage(what).into());
        }
        opened => opened.with_context(|| format!("cannot write {shown}"))?,
    };
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write {shown}"))?;
    out!("wrote {shown}: {}", count(config.sources.len(), "source"));
    let group = &answers.log_groups[0];
    out!("next: hiwake config explain --config {shown} --log-group '{group}'");
    Ok(ExitCode::SUCCESS)
}

/// The input for the file.
struct Answers {
    log_groups: Vec<String>,
    labels: Vec<String>,
    file: Option<String>,
    timezone: Option<Tz>,
}

impl Answers {
    fn ask(&mut self) -> anyhow::Result<()> {
        if !io::stdin().is_terminal() {
            let what = "no log group: add --log-group G (or --from-account)";
            return Err(Usage(what.to_owned()).into());
        }
        let words = |text: String| text.split([',', ' ']).map(str::to_owned).collect::<Vec<_>>();
        let words = |text| words(text).into_iter().filter(|word| !word.is_empty()).collect();
        self.log_groups = words(answer("Log groups (names or globs, separated by commas)", "")?);
        if self.log_groups.is_empty() {
            return Err(Usage("no log group was named".to_owned()).into());
        }
        if self.labels.is_empty() {
            self.labels = words(answer("Labels in front of each line (comma-separated)", "none")?);
        }
        if self.timezone.is_none() {
            let zone = answer("Time zone in which a day begins and ends", zone_of_sample())?;
            let parsed = (!zone.is_empty()).then(|| zone.parse()).transpose();
            let what = |_| Usage(format!("`{zone}` is not a valid time zone: e.g. Asia/Tokyo"));
            self.timezone = parsed.map_err(what)?;
        }
        Ok(())
    }

    /// The first source that matches wins: one that an earlier one covers would get nothing. Names
    /// that are not valid are left to [`Config::parse`].
    fn check(&self) -> Result<(), Usage> {
        let globs: Vec<_> = self.log_groups.iter().filter_map(|group| group.parse().ok()).collect();
        for (at, glob) in globs.iter().enumerate() {
            let Some(taker) = globs[..at].iter().find(|one: &&Glob| one.covers(glob)) else {
                continue;
            };
            let (glob, taker) = (glob.as_str(), taker.as_str());
            return Err(Usage(match glob == taker {
                true => format!("log group {glob} is named twice: name it once"),
                false => format!(
                    "log group {glob} would get no event, because {taker} before it covers it: omit {glob}, or name it first"
                ),
            }));
        }
        Ok(())
    }

    /// The sample with these sources.
    fn text(&self) -> Result<String, Usage> {
        if self.file.is_some() && self.log_groups.len() != 1 {
            return Err(Usage("--file names the file of one log group".to_owned()));
        }
        // The sample is part of the program, and a test builds files from it.
        let (head, rest) = SAMPLE.split_once("[[source]]\n").unwrap_or((SAMPLE, ""));
        let tail = rest.split_once("\n[format]\n").map_or("", |(_, tail)| tail);
        let head = head.split_once('\n').map_or(head, |(_, head)| head);
        let zone = self.timezone.map_or(zone_of_sample(), |zone| zone.name());
        let head = head.replacen(zone_of_sample(), zone, 1);
        let mut text = head;
        let files = files(&self.log_groups);
        for (group, file) in self.log_groups.iter().zip(files) {
            let file = self.file.clone().unwrap_or(file);
            let is_first = !text.contains("[[source]]");
            let note = |note: &str| if is_first { format!("   # {note}") } else { String::new() };
            let labels: Vec<String> = self.labels.iter().map(|label| quoted(label)).collect();
            text += &format!(
                "[[source]]\nlog_groups = [{}]{}\nfile       = {}{}\nlabels     = [{}]{}\n",
                quoted(group),
                note("names, or globs: * is any text, also with /; ? is one character"),
                quoted(&file),
                note("the daily file's name without its day"),
                labels.join(", "),
                note("in front of every line"),
            );
            if is_first {
                text += "# columns  = [\"{labels}\", \"{message}\"]   # also {time} {timestamp} {id} {log_group} {log_stream} {owner} {account} {region}\n";
                text +=
                    "# filter_pattern = \"\"   # the subscription filter's pattern; default all\n";
            }
            if group.contains(['*', '?', '{']) {
                text += "subscribe  = \"manual\"   # a subscription filter needs a name: name the log groups, or subscribe them\n";
            }
            text.push('\n');
        }
        Ok(format!("{text}{EXAMPLE}\n[format]\n{tail}"))
    }
}

/// The sample's time zone.
fn zone_of_sample() -> &'static str {
    let value = SAMPLE.split_once("timezone = \"").and_then(|(_, rest)| rest.split_once('"'));
    value.map_or("Asia/Tokyo", |(zone, _)| zone)
}

/// A file name for each log group: the end of the group's name if it is unique, else the whole
/// name.
fn files(log_groups: &[String]) -> Vec<String> {
    let end = |group: &String| group.rsplit('/').next().unwrap_or_default().to_owned();
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    for group in log_groups {
        *ends.entry(end(group).to_lowercase()).or_default() += 1;
    }
    let file = |group: &String| match group {
        glob if glob.contains(['*', '?', '{']) => "{log_group}".to_owned(),
        group if ends[&end(group).to_lowercase()] == 1 && !end(group).is_empty() => end(group),
        _ => "{log_group}".to_owned(),
    };
    log_groups.iter().map(file).collect()
}

/// A text as a TOML string.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// Asks a person; an empty answer means the default.
fn answer(question: &str, default: &str) -> io::Result<String> {
    let default = if default.is_empty() { String::new() } else { format!(" [{default}]") };
    write!(io::stderr(), "{question}{default}: ")?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

/// The account's log groups in alphabetical order.
#[cfg(feature = "aws")]
fn from_account(prefix: Option<&str>) -> anyhow::Result<Vec<String>> {
    let all = crate::aws()?.logs().log_group_names(prefix)?;
    let (own, groups): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|name| OWN.iter().any(|own| name.starts_with(own)));
    if let Some(first) = own.first() {
        crate::output::note!(
            "left out {} of hiwake's own, e.g. {first}",
            count(own.len(), "log group")
        );
    }
    if groups.is_empty() {
        let what = "this account and region have no such log group: check --prefix and AWS_REGION";
        return Err(Usage(what.to_owned()).into());
    }
    Ok(groups)
}
