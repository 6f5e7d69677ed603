//! The simulated Engine: against the real one, as what one answers and tells the other does too; and as the place where
//! everything goes wrong for the controller.

mod behaviour;
mod commands;
mod looks;
mod scene;
mod search;
mod sequences;
mod storm;
