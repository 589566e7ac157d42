//! The table at the end, and the sums that must hold.

use crate::load::Seen;
use posse::cluster::Counters;

/// One incarnation of a node.
pub struct Row {
    pub name: String,
    pub seen: Seen,
    pub counters: Counters,
    /// Messages its actor has handled, as far as is known.
    pub handled: u64,
    /// Of those, from other nodes than the client.
    pub relayed: u64,
    pub killed: bool,
}

impl Row {
    /// Acknowledged, and no word that it was handled.
    fn lost_with_the_node(&self) -> u64 {
        (self.counters.acked + self.relayed).saturating_sub(self.handled)
    }
}

fn percentile(sorted: &[u64], share: f64) -> String {
    match sorted.get(((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1))) {
        Some(ns) => format!("{:.0} µs", *ns as f64 / 1000.0),
        None => "-".to_owned(),
    }
}

/// Prints the table.
pub fn print(rows: &mut [Row]) {
    println!();
    println!(
        "{:<12} {:>8} {:>9} {:>8} {:>8} {:>5} {:>6}   {:>9} {:>9} {:>9} {:>9}",
        "node", "offered", "returned", "accepted", "acked", "dead", "lost*", "p50", "p99", "p99.9", "msg/s"
    );
    for row in &mut *rows {
        let Counters { returned, accepted, acked, .. } = row.counters;
        row.seen.latencies_ns.sort_unstable();
        let times = &row.seen.latencies_ns;
        println!(
            "{:<12} {:>8} {returned:>9} {accepted:>8} {acked:>8} {:>5} {:>6}   {:>9} {:>9} {:>9} {:>9.0}",
            row.name,
            row.seen.offered,
            row.counters.undelivered(),
            row.lost_with_the_node(),
            percentile(times, 0.5),
            percentile(times, 0.99),
            percentile(times, 0.999),
            acked as f64 / row.seen.seconds,
        );
    }
    println!("* lost with the node: acknowledged by it, and no word that they were handled");
    for row in rows {
        for (error, count) in &row.seen.errors {
            println!("  {}: {count} x {error}", row.name);
        }
    }
    println!();
}

/// Checks the sums. Returns how many do not hold.
pub fn check(rows: &[Row]) -> usize {
    let mut broken = 0;
    let mut rule = |row: &Row, holds: bool, text: String| {
        println!("{} {}: {text}", if holds { "ok    " } else { "BROKEN" }, row.name);
        broken += usize::from(!holds);
    };
    for row in rows {
        let (seen, counters) = (&row.seen, &row.counters);
        let Counters { returned, accepted, acked, unsettled, .. } = *counters;
        let (offered, dead) = (seen.offered, counters.undelivered());
        rule(
            row,
            offered == returned + accepted,
            format!("offered {offered} = returned {returned} + accepted {accepted}"),
        );
        rule(
            row,
            accepted == acked + dead && unsettled == 0,
            format!("accepted {accepted} = acked {acked} + dead {dead}"),
        );
        rule(row, seen.corrupt == 0 && seen.answered > 0, format!("all {} replies are what was sent", seen.answered));
        if row.killed {
            rule(row, seen.handled <= accepted, format!("lost with the node: {}", row.lost_with_the_node()));
        } else {
            let (handled, relayed) = (row.handled, row.relayed);
            rule(row, handled == acked + relayed, format!("handled {handled} = acked {acked} + relayed {relayed}"));
            rule(row, seen.errors.is_empty(), "no errors".to_owned());
        }
    }
    broken
}
