pub mod placer;
pub mod transfer;
