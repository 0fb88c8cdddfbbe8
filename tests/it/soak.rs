//! What is set from outside: how long and how hard `make soak` tests, and the random numbers of an earlier test.

/// The number in an environment variable.
pub fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

/// What the random numbers of a test are made from: `MEDALLION_SEED`, or anything. A test that fails shows it.
pub fn seed() -> u64 {
    let seed = number("MEDALLION_SEED", fastrand::u64(..));
    println!("MEDALLION_SEED={seed}");
    seed
}
