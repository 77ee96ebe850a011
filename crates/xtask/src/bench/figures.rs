//! Numbers: those that other programs print as `NAME=NUMBER`, and what is made of the same one measured several times.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

/// Every `NAME=NUMBER` of a text.
pub(crate) fn parse(text: &str) -> BTreeMap<String, f64> {
    let pair = |word: &str| word.split_once('=').and_then(|(name, value)| Some((name.to_owned(), value.parse().ok()?)));
    text.split_whitespace().filter_map(pair).collect()
}

/// One of them.
pub(crate) fn number(figures: &BTreeMap<String, f64>, name: &str) -> Result<f64> {
    figures.get(name).copied().with_context(|| format!("there is no figure called {name}"))
}

/// The same thing measured once a round.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series(Vec<f64>);

impl Series {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The value that `part` of the values do not exceed, 0 when there are none.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = part * sorted.len() as f64;
        let reached = sorted.iter().enumerate().find(|(index, _)| (*index + 1) as f64 >= rank);
        reached.map_or(0.0, |(_, value)| *value)
    }

    /// The value in the middle, or the mean of the two that are.
    pub(crate) fn median(&self) -> f64 {
        let negated = Self(self.0.iter().map(|value| -value).collect());
        f64::midpoint(self.quantile(0.5), -negated.quantile(0.5))
    }

    pub(crate) fn max(&self) -> f64 {
        self.0.iter().copied().fold(0.0, f64::max)
    }

    /// How far the values lie apart, as a part of the median.
    pub(crate) fn spread(&self) -> f64 {
        let min = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        if self.median() > 0.0 { (self.max() - min) / self.median() } else { 0.0 }
    }
}

impl FromIterator<f64> for Series {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_quantiles_and_spread() {
        let odd: Series = [5.0, 1.0, 3.0].into_iter().collect();
        assert_eq!((odd.median(), odd.max(), odd.quantile(0.0), odd.quantile(1.0)), (3.0, 5.0, 1.0, 5.0));
        assert!((odd.spread() - 4.0 / 3.0).abs() < 1e-12);
        let even: Series = [4.0, 1.0, 2.0, 3.0].into_iter().collect();
        assert_eq!(even.median(), 2.5);
        assert_eq!(Series::default().median(), 0.0);
        let hundred: Series = (1..=100).map(f64::from).collect();
        assert_eq!(hundred.quantile(0.99), 99.0);
    }

    #[test]
    fn pairs_are_found_among_other_words() {
        let figures = parse("requests=12 p50=3.5\nopened x=y max=7");
        assert_eq!(figures.len(), 3);
        assert_eq!(number(&figures, "p50").ok(), Some(3.5));
        assert!(number(&figures, "x").is_err());
    }
}
