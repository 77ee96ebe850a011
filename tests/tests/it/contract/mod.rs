//! The contract between HTTP and the script: a test for each row of its tables, as a client sees it over a
//! real connection.

mod failures;
mod meta_variables;
mod response_head;
mod streams;
