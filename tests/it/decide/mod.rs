//! Decisions as text: the goldens are the specification.

mod backoff;
mod creation;
mod dependencies;
mod doubles;
mod drift;
mod images;
mod life;
mod networks;
mod projects;
mod properties;
mod recovery;
mod removal;
mod replacement;
mod replicas;
mod restarts;
mod rollout;
mod scene;
mod sharing;
mod suspension;
mod throttle;
mod world;
