//! The contract between HTTP and the script, row by row: a test for each row of its tables, by a client's view over a
//! real connection.

mod failures;
mod meta_variables;
mod response_head;
mod streams;
