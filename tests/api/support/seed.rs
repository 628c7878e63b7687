//! Chance that can be repeated.

/// The seed of what `test` draws: `AK_STAGES_SEED`, or another one each time. It is printed.
#[expect(clippy::print_stdout, reason = "to repeat what was found")]
pub fn seed(test: &str) -> u64 {
    let seed = asked("AK_STAGES_SEED").unwrap_or_else(|| rand::random::<u64>() >> 1);
    println!("{test}: AK_STAGES_SEED={seed}");
    seed
}

/// The number that a variable of the environment asks for.
pub fn asked(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}
