//! What a run has found out, and what it could not.

use std::collections::BTreeMap;

use anyhow::Result;

use super::figures::Series;

#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Nanoseconds for one run, by `GUEST/SUBJECT/THREADS`.
    pub(crate) calls: BTreeMap<String, Series>,
    pub(crate) http: Vec<Row>,
    pub(crate) bytes: Vec<Bytes>,
    pub(crate) streams: Vec<Stream>,
    /// Everything else.
    pub(crate) single: Vec<Single>,
    /// What is not there, and why.
    pub(crate) notes: Vec<(String, String)>,
}

/// One line of the table: a contender at a number of connections.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) contender: String,
    pub(crate) connections: usize,
    /// Requests a second.
    pub(crate) rate: Series,
    /// Seconds from a request's first to its response's last byte.
    pub(crate) p50: Series,
    pub(crate) p99: Series,
    pub(crate) max: Series,
    /// Processor seconds of the server and its children for 1000 requests.
    pub(crate) processor: Series,
    /// Bytes; what is mapped several times counts each time.
    pub(crate) resident: Series,
    /// Bytes; it counts once.
    pub(crate) proportional: Series,
}

/// How long one request after the other waits for the first and the last byte of its response, on one connection.
#[derive(Debug, Default)]
pub(crate) struct Bytes {
    pub(crate) contender: String,
    /// Seconds.
    pub(crate) first: Series,
    pub(crate) last: Series,
}

/// One direction through one handler.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) name: &'static str,
    /// Bytes a second.
    pub(crate) rate: Series,
    /// How much more memory the server had at most than before, in bytes.
    pub(crate) growth: Series,
}

/// One thing measured, with its unit.
#[derive(Debug)]
pub(crate) struct Single {
    pub(crate) what: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) values: Series,
}

impl Findings {
    /// Gives the value, or notes why there is none.
    pub(crate) fn keep<T>(&mut self, what: &str, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.note(what, &format!("failed: {error:#}"));
                None
            }
        }
    }

    pub(crate) fn note(&mut self, what: &str, why: &str) {
        let note = (what.to_owned(), why.to_owned());
        if !self.notes.contains(&note) {
            println!("bench: {what}: {why}");
            self.notes.push(note);
        }
    }

    pub(crate) fn add(&mut self, what: &'static str, unit: &'static str, values: Series) {
        self.single.push(Single { what, unit, values });
    }

    /// The row of a contender at a number of connections; one that is not there is made, below its others.
    pub(crate) fn http_row(&mut self, contender: &str, connections: usize) -> &mut Row {
        let same = |row: &Row| row.contender == contender && row.connections == connections;
        let index = self.http.iter().position(same).unwrap_or_else(|| {
            let below = self.http.iter().rposition(|row| row.contender == contender).map(|last| last + 1);
            let index = below.unwrap_or(self.http.len());
            self.http.insert(index, Row { contender: contender.to_owned(), connections, ..Row::default() });
            index
        });
        self.http.get_mut(index).expect("it was found or has just been inserted")
    }

    /// Median requests a second.
    pub(crate) fn rate(&self, contender: &str, connections: usize) -> Option<f64> {
        Some(self.row(contender, connections)?.rate.median()).filter(|rate| *rate > 0.0)
    }

    /// Most bytes that the server had, what is mapped several times counted once.
    pub(crate) fn proportional(&self, contender: &str, connections: usize) -> Option<f64> {
        self.row(contender, connections).map(|row| row.proportional.max())
    }

    /// How many loads are in a row.
    pub(crate) fn rounds(&self, contender: &str, connections: usize) -> usize {
        self.row(contender, connections).map_or(0, |row| row.rate.len())
    }

    fn row(&self, contender: &str, connections: usize) -> Option<&Row> {
        self.http.iter().find(|row| row.contender == contender && row.connections == connections)
    }

    /// Median nanoseconds of one run in the process.
    pub(crate) fn call(&self, name: &str) -> Option<f64> {
        self.calls.get(name).map(Series::median)
    }

    /// Median of one of the other things.
    pub(crate) fn value(&self, what: &str) -> Option<f64> {
        self.single.iter().find(|single| single.what == what).map(|single| single.values.median())
    }

    /// A stream, by its name.
    pub(crate) fn stream(&self, name: &str) -> Option<&Stream> {
        self.streams.iter().find(|stream| stream.name == name)
    }
}
