//! The first hour: a page that asks five questions, and what is made of the answers.
