//! SHA-512 of many messages, eight at a time (FIPS 180-4).
//!
//! Every signature needs a hash of its commitment, key and message: two blocks for a payment. The rounds of one hash
//! depend on each other; eight messages go through them in eight SIMD lanes.

use sha2::{Digest, Sha512};

use crate::backend::{Operation, Simd};

/// A message in four parts, back to back.
pub(crate) type Message<'a> = [&'a [u8]; 4];

const BLOCK_BYTES: usize = 128;
/// The largest number of blocks; longer messages are hashed one by one.
const BLOCKS_MAX: usize = 4;
/// The padding after the message: a bit, and the length in 16 bytes.
const PADDING_BYTES_MIN: usize = 17;

/// The hash of one message, by the library.
pub(crate) fn sha512(message: &Message<'_>) -> [u8; 64] {
    message.iter().fold(Sha512::new(), |hash, part| hash.chain_update(part)).finalize().into()
}

/// The hash of each message.
pub(crate) struct Sha512All<'a>(pub(crate) &'a [Message<'a>]);

impl Operation for Sha512All<'_> {
    type Output = Vec<[u8; 64]>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Output {
        let mut hashes = Vec::with_capacity(self.0.len());
        let mut padded = [[0; BLOCKS_MAX * BLOCK_BYTES]; 8];
        for messages in self.0.chunks(8) {
            match pad_alike(messages, &mut padded) {
                Some(blocks) => hashes.extend_from_slice(&sha512_x8(simd, &padded, blocks)[..messages.len()]),
                None => hashes.extend(messages.iter().map(sha512)),
            }
        }
        hashes
    }
}

/// Pads messages that have the same number of blocks, and returns that number; `None` for others, and for a single one.
fn pad_alike(messages: &[Message<'_>], padded: &mut [[u8; BLOCKS_MAX * BLOCK_BYTES]; 8]) -> Option<usize> {
    let bytes = |message: &Message<'_>| message.iter().map(|part| part.len()).sum::<usize>();
    let blocks = |message: &Message<'_>| (bytes(message) + PADDING_BYTES_MIN).div_ceil(BLOCK_BYTES);
    let count = messages.first().map_or(0, blocks);
    let are_alike = messages.len() > 1 && count <= BLOCKS_MAX && messages.iter().all(|each| blocks(each) == count);
    if !are_alike {
        return None;
    }
    for (message, padded) in messages.iter().zip(padded) {
        let padded = &mut padded[..count * BLOCK_BYTES];
        let mut at = 0;
        for part in message {
            padded[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        padded[at..].fill(0);
        padded[at] = 0x80;
        padded[count * BLOCK_BYTES - 8..].copy_from_slice(&(8 * at as u64).to_be_bytes());
    }
    Some(count)
}

#[inline(always)]
fn sha512_x8<S: Simd>(simd: S, padded: &[[u8; BLOCKS_MAX * BLOCK_BYTES]; 8], blocks: usize) -> [[u8; 64]; 8] {
    let mut state = [simd.splat(0); 8];
    for word in 0..8 {
        state[word] = simd.splat(INITIAL[word]);
    }
    for block in 0..blocks {
        let mut words = [simd.splat(0); 16];
        for word in 0..16 {
            let at = block * BLOCK_BYTES + 8 * word;
            let mut lanes = [0; 8];
            for lane in 0..8 {
                lanes[lane] = padded[lane][at..].first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
            }
            words[word] = simd.load(&lanes);
        }
        compress(simd, &mut state, words);
    }
    let mut hashes = [[0; 64]; 8];
    for word in 0..8 {
        let lanes = simd.store(state[word]);
        for lane in 0..8 {
            hashes[lane][8 * word..8 * word + 8].copy_from_slice(&lanes[lane].to_be_bytes());
        }
    }
    hashes
}

#[inline(always)]
fn compress<S: Simd>(simd: S, state: &mut [S::U64x8; 8], mut words: [S::U64x8; 16]) {
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for round in 0..80 {
        let at = round % 16;
        if round >= 16 {
            let (w1, w14) = (words[(at + 1) % 16], words[(at + 14) % 16]);
            let small_0 = simd.xor3(simd.rotate_right::<1>(w1), simd.rotate_right::<8>(w1), simd.shift_right::<7>(w1));
            let small_1 =
                simd.xor3(simd.rotate_right::<19>(w14), simd.rotate_right::<61>(w14), simd.shift_right::<6>(w14));
            words[at] = simd.add(simd.add(words[at], small_0), simd.add(words[(at + 9) % 16], small_1));
        }
        let big_1 = simd.xor3(simd.rotate_right::<14>(e), simd.rotate_right::<18>(e), simd.rotate_right::<41>(e));
        let keyed = simd.add(simd.add(h, words[at]), simd.splat(ROUNDS[round]));
        let first = simd.add(keyed, simd.add(simd.choose(e, f, g), big_1));
        let big_0 = simd.xor3(simd.rotate_right::<28>(a), simd.rotate_right::<34>(a), simd.rotate_right::<39>(a));
        let second = simd.add(big_0, simd.majority(a, b, c));
        (h, g, f, e) = (g, f, e, simd.add(d, first));
        (d, c, b, a) = (c, b, a, simd.add(first, second));
    }
    let worked = [a, b, c, d, e, f, g, h];
    for word in 0..8 {
        state[word] = simd.add(state[word], worked[word]);
    }
}

/// The first 64 bits of the fractional parts of the square roots of the first eight primes.
const INITIAL: [u64; 8] = [
    0x6a09_e667_f3bc_c908,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];
/// The same for the cube roots of the first eighty.
const ROUNDS: [u64; 80] = [
    0x428a_2f98_d728_ae22,
    0x7137_4491_23ef_65cd,
    0xb5c0_fbcf_ec4d_3b2f,
    0xe9b5_dba5_8189_dbbc,
    0x3956_c25b_f348_b538,
    0x59f1_11f1_b605_d019,
    0x923f_82a4_af19_4f9b,
    0xab1c_5ed5_da6d_8118,
    0xd807_aa98_a303_0242,
    0x1283_5b01_4570_6fbe,
    0x2431_85be_4ee4_b28c,
    0x550c_7dc3_d5ff_b4e2,
    0x72be_5d74_f27b_896f,
    0x80de_b1fe_3b16_96b1,
    0x9bdc_06a7_25c7_1235,
    0xc19b_f174_cf69_2694,
    0xe49b_69c1_9ef1_4ad2,
    0xefbe_4786_384f_25e3,
    0x0fc1_9dc6_8b8c_d5b5,
    0x240c_a1cc_77ac_9c65,
    0x2de9_2c6f_592b_0275,
    0x4a74_84aa_6ea6_e483,
    0x5cb0_a9dc_bd41_fbd4,
    0x76f9_88da_8311_53b5,
    0x983e_5152_ee66_dfab,
    0xa831_c66d_2db4_3210,
    0xb003_27c8_98fb_213f,
    0xbf59_7fc7_beef_0ee4,
    0xc6e0_0bf3_3da8_8fc2,
    0xd5a7_9147_930a_a725,
    0x06ca_6351_e003_826f,
    0x1429_2967_0a0e_6e70,
    0x27b7_0a85_46d2_2ffc,
    0x2e1b_2138_5c26_c926,
    0x4d2c_6dfc_5ac4_2aed,
    0x5338_0d13_9d95_b3df,
    0x650a_7354_8baf_63de,
    0x766a_0abb_3c77_b2a8,
    0x81c2_c92e_47ed_aee6,
    0x9272_2c85_1482_353b,
    0xa2bf_e8a1_4cf1_0364,
    0xa81a_664b_bc42_3001,
    0xc24b_8b70_d0f8_9791,
    0xc76c_51a3_0654_be30,
    0xd192_e819_d6ef_5218,
    0xd699_0624_5565_a910,
    0xf40e_3585_5771_202a,
    0x106a_a070_32bb_d1b8,
    0x19a4_c116_b8d2_d0c8,
    0x1e37_6c08_5141_ab53,
    0x2748_774c_df8e_eb99,
    0x34b0_bcb5_e19b_48a8,
    0x391c_0cb3_c5c9_5a63,
    0x4ed8_aa4a_e341_8acb,
    0x5b9c_ca4f_7763_e373,
    0x682e_6ff3_d6b2_b8a3,
    0x748f_82ee_5def_b2fc,
    0x78a5_636f_4317_2f60,
    0x84c8_7814_a1f0_ab72,
    0x8cc7_0208_1a64_39ec,
    0x90be_fffa_2363_1e28,
    0xa450_6ceb_de82_bde9,
    0xbef9_a3f7_b2c6_7915,
    0xc671_78f2_e372_532b,
    0xca27_3ece_ea26_619c,
    0xd186_b8c7_21c0_c207,
    0xeada_7dd6_cde0_eb1e,
    0xf57d_4f7f_ee6e_d178,
    0x06f0_67aa_7217_6fba,
    0x0a63_7dc5_a2c8_98a6,
    0x113f_9804_bef9_0dae,
    0x1b71_0b35_131c_471b,
    0x28db_77f5_2304_7d84,
    0x32ca_ab7b_40c7_2493,
    0x3c9e_be0a_15c9_bebc,
    0x431d_67c4_9c10_0d4c,
    0x4cc5_d4be_cb3e_42b6,
    0x597f_299c_fc65_7e2a,
    0x5fcb_6fab_3ad6_faec,
    0x6c44_198c_4a47_5817,
];
