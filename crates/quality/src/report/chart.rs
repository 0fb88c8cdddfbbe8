//! The trend of a rule as a row of bars, in SVG that stands in the page.

use super::RuleResult;
use super::page::escaped;

const BAR: usize = 5;
const GAP: usize = 1;
const HEIGHT: f64 = 24.0;
/// The least height of a bar in which something failed: one bad row in a million is to be seen.
const LEAST: f64 = 4.0;

/// One bar for each result, as high as the share of rows that failed. The highest fills the height.
pub(super) fn trend(results: &[RuleResult]) -> String {
    let width = results.len() * (BAR + GAP);
    let greatest = results.iter().map(share).fold(f64::MIN_POSITIVE, f64::max);
    let bars: String = results
        .iter()
        .enumerate()
        .map(|(index, result)| {
            let height = match result.failed {
                0 => 2.0,
                _ => (share(result) / greatest * HEIGHT).max(LEAST),
            };
            let told = format!(
                "version {}, {}: {} of {} failed",
                result.version,
                result.at.format("%Y-%m-%d %H:%M"),
                result.failed,
                result.checked
            );
            format!(
                "<rect class=\"{}\" x=\"{}\" y=\"{:.1}\" width=\"{BAR}\" height=\"{height:.1}\"><title>{}</title></rect>",
                result.verdict(),
                index * (BAR + GAP),
                HEIGHT - height,
                escaped(&told)
            )
        })
        .collect();
    let last = results.iter().rev().take_while(|result| result.failed > 0).count();
    let label = match last {
        0 => format!("{} results, the last passed", results.len()),
        _ => format!("{} results, the last {last} failed", results.len()),
    };
    format!(
        "<svg role=\"img\" aria-label=\"{label}\" width=\"{width}\" height=\"{HEIGHT}\" viewBox=\"0 0 {width} {HEIGHT}\">{bars}</svg>"
    )
}

fn share(result: &RuleResult) -> f64 {
    result.failed as f64 / result.checked.max(1) as f64
}
