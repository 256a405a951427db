//! `mcnn tune`: the candidates, and the outcomes of their episodes, from a simulator or typed in. The race itself is
//! [`mcnn::eval::race`].

pub mod candidates;
pub mod field;
pub mod outcomes;
pub mod report;
pub mod typed;
