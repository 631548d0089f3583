//! Single cases of the state machine, where a story would hide the point.

mod accounts;
mod audit;
mod backup;
mod backup_extents;
mod bounds;
mod cluster;
mod damage;
mod locks;
mod paging;
mod parts;
mod placement;
mod properties;
mod removals;
mod retention;
mod room;
mod store;
mod sweeps;
mod tree;
mod upkeep_bounds;
mod uploads;
mod usage;
mod versions;
