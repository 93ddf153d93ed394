//! Prints a line of the table at the end of `make bench`: the figure, its target, and whether it is
//! reached.

/// The target of a figure.
#[derive(Clone, Copy)]
#[allow(dead_code, reason = "each bench uses a part of it")]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
    /// Without a target: the figure is for comparison.
    None,
}

/// Prints one line.
pub fn line(what: &str, figure: f64, unit: &str, target: Target) {
    let (aim, verdict) = match target {
        Target::AtLeast(least) => (format!("≥ {least}{unit}"), verdict(figure >= least)),
        Target::AtMost(most) => (format!("≤ {most}{unit}"), verdict(figure <= most)),
        Target::None => (String::new(), ""),
    };
    let figure = if figure < 100.0 { format!("{figure:.2}") } else { format!("{figure:.0}") };
    println!("| {what} | {figure}{unit} | {aim} | {verdict} |");
}

fn verdict(reached: bool) -> &'static str {
    if reached { "reached" } else { "MISSED" }
}
