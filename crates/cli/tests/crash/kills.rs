//! The plan of kills: every random decision of a test follows from one seed, which it prints.

/// A small generator, so that a printed seed repeats the plan (SplitMix64).
pub struct Dice(u64);

impl Dice {
    /// An independent stream of numbers for each `purpose` of one seed.
    pub fn new(seed: u64, purpose: u64) -> Dice {
        Dice(seed ^ purpose.wrapping_mul(0xd6e8_feb8_6659_fd93))
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in 0..1.
    pub fn share(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A whole number in `range`.
    pub fn among(&mut self, range: std::ops::Range<u64>) -> u64 {
        range.start + self.roll() % (range.end - range.start)
    }
}

/// The time for which a killed node stays away, s.
pub fn away_s(dice: &mut Dice) -> f64 {
    0.05 + dice.share() * 0.4
}

/// Rounds and seed, from the environment; otherwise `rounds` and a new seed.
pub fn rounds_and_seed(rounds: u64) -> (u64, u64) {
    let rounds = environment("CBDC_CRASH_ROUNDS", rounds);
    let seed = environment("CBDC_CRASH_SEED", u64::from(std::process::id()));
    println!("CBDC_CRASH_SEED={seed} CBDC_CRASH_ROUNDS={rounds}");
    (rounds, seed)
}

fn environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
