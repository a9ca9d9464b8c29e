//! Compiles `proto/cbdc/v1` and `proto/cbdc/internal/v1` with protox: no `protoc` is needed.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    let files = ["types", "bank", "settlement", "policy", "chain", "leadership"]
        .map(|name| root.join(format!("cbdc/v1/{name}.proto")));
    println!("cargo:rerun-if-changed={}", root.display());
    let descriptors = protox::compile(files, [root.clone()])?;
    let descriptor_path = PathBuf::from(std::env::var("OUT_DIR")?).join("cbdc_descriptor.bin");
    std::fs::write(descriptor_path, prost_encode(&descriptors))?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    // Not in the descriptor set: reflection shows the public contract only.
    let internal = protox::compile(
        ["ordering", "sealing"].map(|name| root.join(format!("cbdc/internal/v1/{name}.proto"))),
        [root.clone()],
    )?;
    tonic_prost_build::configure().bytes(".").compile_fds(internal)?;
    Ok(())
}

/// The descriptor set as bytes, for gRPC reflection.
fn prost_encode(descriptors: &impl protox::prost_reflect::prost::Message) -> Vec<u8> {
    descriptors.encode_to_vec()
}
